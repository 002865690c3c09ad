//! The inner loops, in GB/s on one core, beside `memcpy` in the same run: 1 MiB frames, which fit a core's cache.
//!
//! `cargo bench --bench kernels`.

use ckstore::store::kernels;
use divan::counter::{BytesCount, BytesFormat};
use divan::{Bencher, black_box};

const FRAME_BYTES: usize = 1 << 20;
const ITEM_BYTES: [usize; 3] = [2, 4, 8];

fn main() {
    divan::Divan::from_args().bytes_format(BytesFormat::Decimal).min_time(TIME).max_time(TIME).main();
}

const TIME: std::time::Duration = std::time::Duration::from_millis(400);

fn noise() -> Vec<u8> {
    let mut bytes = vec![0; FRAME_BYTES];
    blake3::Hasher::new().finalize_xof().fill(&mut bytes);
    bytes
}

/// The exponents of random weights, of which there are half as many of each next.
fn exponents() -> Vec<u8> {
    let mut noise = vec![0; 4 * FRAME_BYTES];
    blake3::Hasher::new().finalize_xof().fill(&mut noise);
    let words = noise.as_chunks::<4>().0.iter();
    words.map(|word| 124 - u32::from_le_bytes(*word).leading_zeros() as u8).collect()
}

/// Measures work on one frame.
fn on_a_frame<T>(bencher: Bencher<'_, '_>, work: impl FnMut() -> T) {
    bencher.counter(BytesCount::new(FRAME_BYTES)).bench_local(work);
}

#[divan::bench]
fn memcpy(bencher: Bencher<'_, '_>) {
    let (bytes, mut out) = (noise(), vec![0; FRAME_BYTES]);
    on_a_frame(bencher, || black_box(&mut out).copy_from_slice(black_box(&bytes)));
}

#[divan::bench]
fn blake3(bencher: Bencher<'_, '_>) {
    let bytes = noise();
    on_a_frame(bencher, || blake3::hash(black_box(&bytes)));
}

#[divan::bench]
fn crc32(bencher: Bencher<'_, '_>) {
    let bytes = noise();
    on_a_frame(bencher, || crc32fast::hash(black_box(&bytes)));
}

#[divan::bench(args = ITEM_BYTES)]
fn planes_split(bencher: Bencher<'_, '_>, item_bytes: usize) {
    let bytes = noise();
    let mut planes = vec![vec![0; FRAME_BYTES / item_bytes]; item_bytes];
    let mut room: Vec<&mut [u8]> = planes.iter_mut().map(Vec::as_mut_slice).collect();
    on_a_frame(bencher, || kernels::split(black_box(&bytes), &mut room));
}

#[divan::bench(args = ITEM_BYTES)]
fn planes_join(bencher: Bencher<'_, '_>, item_bytes: usize) {
    let (bytes, mut out) = (noise(), vec![0; FRAME_BYTES]);
    let planes: Vec<&[u8]> = bytes.chunks(FRAME_BYTES / item_bytes).collect();
    on_a_frame(bencher, || kernels::join(black_box(&planes), &mut out));
}

#[divan::bench(args = ITEM_BYTES)]
fn delta_make(bencher: Bencher<'_, '_>, item_bytes: usize) {
    let (bytes, base, mut out) = (noise(), exponents(), vec![0; FRAME_BYTES]);
    on_a_frame(bencher, || kernels::subtract(item_bytes, black_box(&bytes), black_box(&base), &mut out));
}

#[divan::bench(args = ITEM_BYTES)]
fn delta_undo(bencher: Bencher<'_, '_>, item_bytes: usize) {
    let (mut bytes, base) = (noise(), exponents());
    on_a_frame(bencher, || kernels::add(item_bytes, black_box(&mut bytes), black_box(&base)));
}

#[divan::bench]
fn exponents_encode(bencher: Bencher<'_, '_>) {
    let (bytes, mut out) = (exponents(), vec![0; FRAME_BYTES]);
    let mut encoder = kernels::Encoder::new();
    on_a_frame(bencher, || encoder.encode(black_box(&bytes), &mut out));
}

#[divan::bench]
fn exponents_decode(bencher: Bencher<'_, '_>) {
    let (bytes, mut form) = (exponents(), vec![0; FRAME_BYTES]);
    let length = kernels::Encoder::new().encode(&bytes, &mut form).expect("exponents shrink");
    let (mut decoder, mut out) = (kernels::Decoder::new(), vec![0; FRAME_BYTES]);
    on_a_frame(bencher, || decoder.decode(black_box(&form[..length]), &mut out));
    assert!(out == bytes);
}

#[divan::bench]
fn exponents_encode_zstd(bencher: Bencher<'_, '_>) {
    let (bytes, mut out, mut zstd) = (exponents(), vec![0; FRAME_BYTES], kernels::symbols_coder());
    on_a_frame(bencher, || zstd.compress_to_buffer(black_box(&bytes), &mut out[..]).map_err(drop));
}

#[divan::bench]
fn exponents_decode_zstd(bencher: Bencher<'_, '_>) {
    let (bytes, mut out) = (exponents(), vec![0; FRAME_BYTES]);
    let form = kernels::symbols_coder().compress(&bytes).expect("zstd compresses");
    let mut zstd = zstd::bulk::Decompressor::new().expect("zstd makes a context");
    on_a_frame(bencher, || zstd.decompress_to_buffer(black_box(&form), &mut out[..]).map_err(drop));
    assert!(out == bytes);
}
