//! The inner loops, in GB/s on one core, beside `memcpy` in the same run: 1 MiB frames, which fit a core's cache.
//!
//! `cargo bench --bench kernels`.

use std::hint::black_box;
use std::time::{Duration, Instant};

use ckstore::store::kernels;

const FRAME_BYTES: usize = 1 << 20;
const TIME: Duration = Duration::from_millis(300);
const ROUNDS: usize = 5;

fn main() {
    let mut bytes = vec![0; FRAME_BYTES];
    blake3::Hasher::new().finalize_xof().fill(&mut bytes);
    let base = bytes.iter().map(|byte| byte.wrapping_add(1)).collect::<Vec<u8>>();
    let mut out = vec![0; FRAME_BYTES];
    let memcpy = measure(|| out.copy_from_slice(black_box(&bytes)));
    println!("{:<28}{:>8}{:>12}", "", "GB/s", "of memcpy");
    let report = |name: &str, speed: f64| println!("{name:<28}{speed:>8.1}{:>11.0}%", 100.0 * speed / memcpy);
    report("memcpy", memcpy);
    report("BLAKE3", measure(|| _ = black_box(blake3::hash(black_box(&bytes)))));
    report("CRC-32", measure(|| _ = black_box(crc32fast::hash(black_box(&bytes)))));
    for item_bytes in [2, 4, 8] {
        let mut planes = vec![vec![0; FRAME_BYTES / item_bytes]; item_bytes];
        let mut room: Vec<&mut [u8]> = planes.iter_mut().map(Vec::as_mut_slice).collect();
        let speed = measure(|| kernels::split(black_box(&bytes), &mut room));
        report(&format!("planes of {item_bytes} bytes, split"), speed);
        let slices: Vec<&[u8]> = planes.iter().map(Vec::as_slice).collect();
        let speed = measure(|| kernels::join(black_box(&slices), &mut out));
        report(&format!("planes of {item_bytes} bytes, join"), speed);
        let speed = measure(|| kernels::subtract(item_bytes, black_box(&bytes), &base, &mut out));
        report(&format!("delta of {item_bytes} bytes, make"), speed);
        let speed = measure(|| kernels::add(item_bytes, black_box(&mut out), &base));
        report(&format!("delta of {item_bytes} bytes, undo"), speed);
    }
}

/// GB/s of the best of some rounds over one frame.
fn measure(mut work: impl FnMut()) -> f64 {
    let mut best = 0.0_f64;
    for _ in 0..ROUNDS {
        let (start, mut count) = (Instant::now(), 0_u64);
        while start.elapsed() < TIME / ROUNDS as u32 {
            work();
            count += 1;
        }
        best = best.max(count as f64 * FRAME_BYTES as f64 / start.elapsed().as_secs_f64() / 1e9);
    }
    best
}
