//! Hostile files as a table, and hostile ways of putting sound ones together.

use super::super::tests::corpus;
use super::super::zip::tests::zip;
use super::*;

const SYSTEM: &[u8] = b"\x80\x02cos\nsystem\nX\x02\x00\x00\x00id\x85R.";

fn scan(file: &[u8]) -> Dangers {
    dangers(&file, &Limits::default(), Checksums::Compare).unwrap()
}

fn globals(found: &Dangers) -> Vec<(&str, &str, u64)> {
    let feared = found.globals.iter().filter(|found| found.rating == Rating::Dangerous);
    feared.map(|found| (found.global.as_str(), found.entry.as_str(), found.offset)).collect()
}

fn codes(found: &Dangers) -> Vec<&str> {
    let mut codes: Vec<_> = found.problems.iter().map(|problem| problem.code).collect();
    codes.dedup();
    codes
}

#[test]
fn pickles_that_no_program_writes_are_told_of() {
    let table = [
        ("pkl_ext_unknown.pkl", "extension code 7"),
        ("zip_dict_unhashable.pt", "a key of a dict"),
        ("pkl_mark_left.pkl", "1 values and marks are left over"),
        ("zip_short_frame.pt", "do not fit at byte 2"),
        ("zip_frame_overrun.pt", "do not fit at byte 2"),
        ("zip_next_buffer.pt", "buffers from outside"),
        ("zip_long_binput_huge.pt", "entry 2147483647"),
        ("pkl_tuple_doubling.pkl", "tuples share"),
        ("zip_int_hash_collide.pt", "have one hash"),
        ("pkl_reduce_nontuple.pkl", "no tuple"),
        ("zip_location_weird.pt", "`cuda:99`"),
        ("zip_expand_huge.pt", "1099511627776 elements, its storage 3"),
    ];
    for (file, what) in table {
        let found = scan(&corpus(&format!("malicious/{file}")));
        let odd: Vec<_> = found.problems.iter().filter(|problem| problem.code == ODD_PICKLE).collect();
        assert!(odd.iter().any(|problem| problem.message.contains(what)), "{file}: {found:?}");
    }
    let deep = [b"\x80\x02)".as_slice(), &[0x85; 20_000], b"."].concat();
    let found = scan(&deep);
    assert!(found.problems.iter().any(|problem| problem.message.contains("inside each other")), "{found:?}");
    // What a program may have registered, and what a framework does write.
    for file in ["pickle/ext1.p2.pkl", "zip/tied.pt", "legacy/module.pt"] {
        let found = scan(&corpus(file));
        assert!(found.problems.iter().all(|problem| problem.code != ODD_PICKLE), "{file}: {found:?}");
    }
}

#[test]
fn hostile_files_are_seen_through() {
    let calls = [
        ("pkl_os_system.pkl", "os.system", 43),
        ("zip_os_system.pt", "os.system", 43),
        ("zip_builtins_exec_p0.pt", "builtins.exec", 68),
        ("pkl_obj_opcode.pkl", "os.system", 40),
        ("pkl_newobj_popen.pkl", "subprocess.Popen", 57),
        ("pkl_stack_global_memo.pkl", "os.system", 50),
        ("pkl_stack_global_nonstr.pkl", "(computed)", 6),
        ("pkl_stack_global_computed.pkl", "(computed)", 66),
        ("zip_in_persid.pt", "os.system", 56),
        ("pkl_persid_wrong.pkl", "os.system", 14),
    ];
    for (file, global, offset) in calls {
        let found = scan(&corpus(&format!("malicious/{file}")));
        let globals = globals(&found);
        assert!(globals.iter().any(|(g, _, at)| (*g, *at) == (global, offset)), "{file}: {found:?}");
        let entry = if file.ends_with(".pt") { "archive/data.pkl" } else { "" };
        assert!(globals.iter().all(|(_, at, _)| *at == entry), "{file}: {found:?}");
    }
    let problems = [
        ("z_slip.pt", Rating::Dangerous, &["S_SLIP"][..]),
        ("z_duplicate.pt", Rating::Dangerous, &["S_DUPLICATE"]),
        ("z_duplicate_first.pt", Rating::Dangerous, &["S_DUPLICATE"]),
        ("z_overlap.pt", Rating::Dangerous, &["S_OVERLAP", "S_LIE", "S_OVERLAP", "S_CRC"]),
        ("z_size_lie.pt", Rating::Dangerous, &["S_LIE", "S_CRC"]),
        ("z_local_name_differs.pt", Rating::Dangerous, &["S_LIE"]),
        ("z_local_namelen_lie.pt", Rating::Dangerous, &["S_LIE", "S_BEFORE"]),
        ("z_cd_offset_lie.pt", Rating::Dangerous, &["S_LIE"]),
        ("z_prepended.pt", Rating::Dangerous, &["S_LIE", "S_BEFORE"]),
        ("z_encrypted_flag.pt", Rating::Unknown, &["S_UNREADABLE"]),
        ("z_bzip2.pt", Rating::Unknown, &["S_UNREADABLE"]),
        ("z_bad_crc_data.pt", Rating::Unknown, &["S_CRC"]),
        ("z_bad_crc_pkl.pt", Rating::Unknown, &["S_CRC"]),
        ("z_trunc_half.pt", Rating::Unknown, &["S_DAMAGED"]),
        ("zip_no_stop.pt", Rating::Unknown, &["S_BROKEN_PICKLE"]),
        ("zip_unknown_opcode.pt", Rating::Unknown, &["S_BROKEN_PICKLE"]),
        ("z_comment.pt", Rating::Safe, &[]),
        ("z_streamed.pt", Rating::Safe, &[]),
        ("z_zip64.pt", Rating::Safe, &[]),
    ];
    for (file, rating, expected) in problems {
        let found = scan(&corpus(&format!("malicious/{file}")));
        assert_eq!((found.worst(), codes(&found)), (rating, expected.to_vec()), "{file}: {found:?}");
    }
}

#[test]
fn what_torch_and_numpy_write_is_safe() {
    for file in [
        "zip/dtypes.pt",
        "zip/params.pt",
        "zip/sparse.pt",
        "zip/tied.pt",
        "zip/generator.pt",
        "zip/dtensor.pt",
        "module/exported.pt2",
        "module/spectral_norm_hooks.pt",
        "old/t1.13_module.pt",
        "old/t1.4_legacy.pt",
        "numpy/plain.npz",
        "numpy/f32.npy",
        "pickle/numpy.p3.pkl",
        "safetensors/dtypes.safetensors",
    ] {
        let found = scan(&corpus(file));
        assert_eq!(found.worst(), Rating::Safe, "{file}: {found:?}");
    }
}

#[test]
fn what_runs_before_a_pickle_breaks_is_found() {
    for end in [&b""[..], b"\xf0", b"0000", b"X\xff\xff\xff\xff", b"cos"] {
        let file = [&SYSTEM[..SYSTEM.len() - 1], end].concat();
        let found = scan(&file);
        assert_eq!(globals(&found), [("os.system", "", 21)]);
        assert_eq!(codes(&found), ["S_BROKEN_PICKLE"]);
    }
    // Protocol 0 has no first bytes of its own, and this never was whole.
    let found = scan(b"cos\nsystem\n(S'id'\ntR\xf0");
    assert_eq!(globals(&found), [("os.system", "", 19)]);
}

#[test]
fn every_pickle_of_a_file_is_looked_into() {
    let file = [b"\x80\x02N.".as_slice(), b"\x80\x02N.", SYSTEM, b"\x80\x02N."].concat();
    let found = scan(&file);
    assert_eq!((globals(&found), found.pickles), (vec![("os.system", "", 29)], 4));
}

#[test]
fn pickles_in_the_constants_of_pickles_are_found() {
    let length = SYSTEM.len() as u8;
    let bytes = [b"\x80\x04C".as_slice(), &[length], SYSTEM, b"."].concat();
    let found = scan(&bytes);
    assert_eq!(globals(&found), [("os.system", "constant at 2", 21)]);
    // Protocol 2 has no bytes: they are text of the same numbers.
    let text: String = SYSTEM.iter().map(|byte| char::from(*byte)).collect();
    let mut file = b"\x80\x02c_codecs\nencode\nX".to_vec();
    file.extend((text.len() as u32).to_le_bytes());
    file.extend(text.bytes());
    file.extend(b"X\x06\x00\x00\x00latin1\x86R.");
    assert_eq!(globals(&scan(&file)), [("os.system", "constant at 18", 21)]);
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    miniz_oxide::deflate::compress_to_vec_zlib(bytes, 6)
}

/// A gzip stream with a name in its header.
fn gzip(bytes: &[u8]) -> Vec<u8> {
    let deflated = miniz_oxide::deflate::compress_to_vec(bytes, 6);
    let length = bytes.len() as u32;
    let end = [crc32fast::hash(bytes).to_le_bytes(), length.to_le_bytes()].concat();
    [b"\x1f\x8b\x08\x08\0\0\0\0\0\xffa.pkl\0", deflated.as_slice(), &end].concat()
}

fn base64(bytes: &[u8]) -> Vec<u8> {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = Vec::new();
    for three in bytes.chunks(3) {
        let number = (0..3).fold(0, |n, place| n << 8 | usize::from(*three.get(place).unwrap_or(&0)));
        let digit = |place| if place > three.len() { b'=' } else { DIGITS[number >> (18 - 6 * place) & 63] };
        text.extend((0..4).map(digit));
    }
    text
}

/// A pickle whose value is these bytes.
fn constant(bytes: &[u8]) -> Vec<u8> {
    [b"\x80\x04B".as_slice(), &(bytes.len() as u32).to_le_bytes(), bytes, b"."].concat()
}

#[test]
fn what_is_packed_once_more_is_looked_into() {
    let archive = zip(b"", &[("archive/data.pkl", 0, SYSTEM)]);
    let table = [
        (constant(&zlib(SYSTEM)), "constant at 2!zlib"),
        (constant(&gzip(SYSTEM)), "constant at 2!gzip"),
        (constant(&base64(SYSTEM)), "constant at 2!base64"),
        (constant(&base64(&zlib(SYSTEM))), "constant at 2!base64!zlib"),
        (constant(&zlib(&archive)), "constant at 2!zlib!archive/data.pkl"),
        (gzip(SYSTEM), "gzip"),
        (zip(b"", &[("a.pkl.gz", 8, &gzip(SYSTEM))]), "a.pkl.gz!gzip"),
        (gzip(&archive), "gzip!archive/data.pkl"),
    ];
    for (file, place) in table {
        assert_eq!(globals(&scan(&file)), [("os.system", place, 21)], "{place}");
    }
    let text = [b"\x80\x04\x8c".as_slice(), &[base64(SYSTEM).len() as u8], &base64(SYSTEM), b"."].concat();
    assert_eq!(globals(&scan(&text)), [("os.system", "constant at 2!base64", 21)]);
    // Neither letters that happen to be base64 nor numbers that were compressed are anything.
    for bytes in [b"encoderdecoderattentionweights".to_vec(), zlib(&[1, 2, 3, 4].repeat(100))] {
        assert_eq!(scan(&constant(&bytes)).worst(), Rating::Safe);
    }
    let mut packed = SYSTEM.to_vec();
    for _ in 0..20 {
        packed = gzip(&packed);
    }
    assert_eq!(globals(&scan(&packed)), []);
    assert_eq!(codes(&scan(&packed)), ["S_NESTING"]);
}

#[test]
fn a_stream_is_not_unpacked_to_its_end() {
    let bomb = zlib(&[&SYSTEM[..SYSTEM.len() - 1], &vec![b'0'; 100 << 20]].concat());
    for file in [constant(&bomb), bomb] {
        let found = scan(&file);
        assert!(codes(&found).contains(&"S_BOMB"), "{found:?}");
        assert_eq!(globals(&found).len(), 1, "{found:?}");
    }
    // Nothing is said of numbers, however many there are, until there are too many to look at.
    let large = zlib(&vec![0; 60 << 20]);
    let item = constant(&large)[2..].strip_suffix(b".").unwrap().to_vec();
    let list = |count| {
        [b"\x80\x04]".to_vec(), [item.as_slice(), b"a"].concat().repeat(count), b".".to_vec()].concat()
    };
    assert_eq!(codes(&scan(&list(4))), [""; 0]);
    assert_eq!(codes(&scan(&list(6))), ["S_LIMIT"]);
}

#[test]
fn archives_in_archives_are_looked_into() {
    let inner_zip = zip(b"", &[("archive/data.pkl", 0, SYSTEM), ("archive/version", 0, b"3")]);
    for method in [0, 8] {
        let outer = zip(b"", &[("models/a.pt", method, &inner_zip)]);
        assert_eq!(globals(&scan(&outer)), [("os.system", "models/a.pt!archive/data.pkl", 21)]);
    }
    let header =
        b"\x93NUMPY\x01\x00\x40\x00{'descr': '|O', 'fortran_order': False, 'shape': (1,), }       \n";
    let array = [header, SYSTEM].concat();
    let at = header.len() as u64 + 21;
    assert_eq!(globals(&scan(&array)), [("os.system", "", at)], "{:?}", scan(&array));
    assert_eq!(globals(&scan(&zip(b"", &[("a.npy", 0, &array)]))), [("os.system", "a.npy", at)]);
    let mut file = SYSTEM.to_vec();
    for _ in 0..20 {
        file = zip(b"", &[("a", 0, &file)]);
    }
    assert_eq!(codes(&scan(&file)), ["S_NESTING"]);
}

#[test]
fn entries_that_no_directory_names_are_found() {
    let hidden = zip(b"", &[("archive/data.pkl", 0, SYSTEM)]);
    let hidden = &hidden[..30 + 16 + SYSTEM.len()];
    let file = zip(hidden, &[("archive/version", 0, b"3")]);
    let found = scan(&file);
    assert_eq!(globals(&found), [("os.system", "archive/data.pkl", 21)]);
    assert_eq!(codes(&found), ["S_HIDDEN", "S_BEFORE"]);
}

#[test]
fn both_directories_of_an_archive_are_read() {
    let first = zip(b"", &[("archive/data.pkl", 0, SYSTEM)]);
    let second = zip(&first, &[("archive/data.pkl", 0, b"\x80\x02N.")]);
    let found = scan(&second);
    assert_eq!(globals(&found), [("os.system", "archive/data.pkl", 21)]);
    assert!(codes(&found).contains(&"S_DIRECTORIES"), "{found:?}");
}

#[test]
fn a_zip_behind_other_bytes_is_found() {
    let file = [b"{\"just\": \"json\"}".as_slice(), &zip(b"", &[("archive/data.pkl", 0, SYSTEM)])].concat();
    let found = scan(&file);
    assert_eq!(globals(&found), [("os.system", "archive/data.pkl", 21)]);
    assert_eq!(codes(&found), ["S_LIE", "S_BEFORE"]);
}

#[test]
fn a_bomb_is_not_unpacked_to_its_end() {
    let bomb = [&SYSTEM[..SYSTEM.len() - 1], &vec![b'0'; 64 << 20]].concat();
    let found = scan(&zip(b"", &[("archive/data.pkl", 8, &bomb)]));
    assert!(codes(&found).contains(&"S_BOMB"), "{found:?}");
    assert_eq!(globals(&found), [("os.system", "archive/data.pkl", 21)]);
}

#[test]
fn chains_are_followed_to_what_is_called() {
    let table: &[(&[u8], &str, Rating)] = &[
        (b"\x80\x02cfunctools\npartial\ncos\nsystem\n\x85R)R.", "os.system", Rating::Dangerous),
        (
            b"\x80\x02coperator\nattrgetter\nX\x06\x00\x00\x00system\x85R.",
            "operator.attrgetter",
            Rating::Dangerous,
        ),
        (
            b"\x80\x02c__builtin__\ngetattr\ncmine\nOuter\nX\x05\x00\x00\x00Inner\x86R)\x81.",
            "mine.Outer.Inner",
            Rating::Unknown,
        ),
        (b"\x80\x02c__builtin__\ntype\nN\x85R.", "__builtin__.type", Rating::Safe),
        (b"\x80\x02c__builtin__\ntype\nX\x01\x00\x00\x00X)}\x87R.", "__builtin__.type", Rating::Dangerous),
        (b"\x80\x02cmine\nOuter\n}X\x01\x00\x00\x00xNsb.", "mine.Outer", Rating::Dangerous),
        (b"\x80\x02U\x02osU\x06system\x93U\x02id\x85R.", "os.system", Rating::Dangerous),
        (b"\x80\x02cpathlib\nPath\nX\x01\x00\x00\x00x\x85R.", "pathlib.Path", Rating::Safe),
        (b"\x80\x04cpathlib\nPath.write_text\n(R.", "pathlib.Path.write_text", Rating::Dangerous),
    ];
    for (file, global, rating) in table {
        let found = scan(file);
        assert_eq!(found.worst(), *rating, "{found:?}");
        assert!(found.globals.iter().any(|found| found.global == *global), "{global}: {found:?}");
    }
}

#[test]
fn findings_are_told_once_with_their_count() {
    let file = b"\x80\x02(cos\nsystem\n)Rcos\nsystem\n)Rcos\nsystem\n)Rt.";
    let found = scan(file);
    let told: Vec<_> =
        found.globals.iter().map(|found| (found.global.as_str(), found.offset, found.count)).collect();
    assert_eq!(told, [("os.system", 15, 3)]);
}

#[test]
fn text_that_could_be_opcodes_raises_no_alarm() {
    for text in
        ["count\nvalue\n1\n2\n", "import os\nos.system('id')\n", "cats\ndogs\nR.", "(see below)\n", "}\n"]
    {
        let found = scan(text.as_bytes());
        assert_eq!((found.worst(), found.format.as_str()), (Rating::Safe, "text"), "{text}: {found:?}");
    }
    assert_eq!(codes(&scan(&[0, 1, 2, 3, 255, 0])), ["S_FORMAT"]);
}

#[test]
fn documents_that_make_loaders_run_something_are_told() {
    assert_eq!(codes(&scan(b"model: !!python/object/apply:os.system [id]\n")), ["S_YAML"]);
    assert_eq!(codes(&scan(br#"{"auto_map": {"AutoModel": "modeling.Net"}}"#)), ["S_REMOTE_CODE"]);
    assert_eq!(codes(&scan(br#"{"chat_template": "{{ x.__globals__ }}"}"#)), ["S_TEMPLATE"]);
    assert_eq!(codes(&scan(br#"{"chat_template": "{{ messages }}"}"#)), [""; 0]);
}
