//! The checkpoints that the benchmarks are about: made from a seed, so that every run measures the same bytes.
//!
//! | file | what it is |
//! |---|---|
//! | base | a checkpoint of transformer-like shapes: 60% of the bytes bfloat16, 40% float32, all normal numbers |
//! | v2 | a tenth of the tensors have new values |
//! | v3 | every tensor of v2 has a new name, two are dropped |
//! | v4 | a fine-tune of v3: every bfloat16 weight has moved a little, about half of them by a last bit or more |

use std::f32::consts::TAU;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// The files, oldest first.
pub const NAMES: [&str; 4] = ["base", "v2", "v3", "v4"];

/// How far a fine-tune moves a weight: standard deviation, as a part of that of its tensor's weights.
const MOVE: f32 = 1.0 / 620.0;

/// A tensor of the workload.
#[derive(Clone)]
struct Spec {
    name: String,
    dtype: &'static str,
    shape: Vec<u64>,
    /// Tells its numbers from those of others.
    seed: u64,
    /// Standard deviation of its numbers.
    scale: f32,
    /// Tells how its numbers have moved, if they have.
    moved: Option<u64>,
}

impl Spec {
    fn items(&self) -> usize {
        self.shape.iter().product::<u64>() as usize
    }

    fn bytes(&self) -> usize {
        self.items() * if self.dtype == "BF16" { 2 } else { 4 }
    }
}

/// Writes the four files of about `total_bytes` each to `directory` as `NAME.safetensors`.
pub fn write(directory: &Path, total_bytes: u64) -> io::Result<()> {
    let mut tensors = base(total_bytes);
    write_file(directory, "base", &tensors)?;
    for spec in tensors.iter_mut().step_by(10) {
        spec.seed ^= 0x5eed_0000_0000;
    }
    write_file(directory, "v2", &tensors)?;
    for spec in &mut tensors {
        spec.name = format!("model.{}", spec.name.replace("layers", "blocks").replace("proj", "projection"));
    }
    let last = tensors.len() - 1;
    tensors.remove(last);
    tensors.remove(last / 2);
    write_file(directory, "v3", &tensors)?;
    for (number, spec) in tensors.iter_mut().enumerate() {
        if spec.dtype == "BF16" {
            spec.moved = Some(number as u64);
        }
    }
    write_file(directory, "v4", &tensors)
}

fn base(total_bytes: u64) -> Vec<Spec> {
    let mut tensors = Vec::new();
    let mut seed = 0;
    let mut add = |name: String, dtype, shape: Vec<u64>, scale| {
        seed += 1;
        let spec = Spec { name, dtype, shape, seed, scale, moved: None };
        let bytes = spec.bytes() as u64;
        tensors.push(spec);
        bytes
    };
    let width = 1024;
    // Bytes of each type; the next layer is of the one that is behind.
    let (mut bf16, mut f32) = (0, 0);
    let mut layer = 0;
    while bf16 + f32 < total_bytes {
        let dtype = if bf16 * 4 <= f32 * 6 { "BF16" } else { "F32" };
        let scale = 0.02 + 0.001 * (layer % 7) as f32;
        let mut bytes = 0;
        for (part, shape) in [
            ("attention.q_proj.weight", vec![width, width]),
            ("attention.k_proj.weight", vec![width, width]),
            ("attention.v_proj.weight", vec![width, width]),
            ("attention.o_proj.weight", vec![width, width]),
            ("attention.o_proj.bias", vec![width]),
            ("mlp.up_proj.weight", vec![4 * width, width]),
            ("mlp.down_proj.weight", vec![width, 4 * width]),
            ("norm.weight", vec![width]),
        ] {
            bytes += add(format!("layers.{layer}.{part}"), dtype, shape, scale);
        }
        *if dtype == "BF16" { &mut bf16 } else { &mut f32 } += bytes;
        layer += 1;
    }
    tensors
}

fn write_file(directory: &Path, name: &str, tensors: &[Spec]) -> io::Result<()> {
    let mut header = String::from("{");
    let mut offset = 0;
    for spec in tensors {
        let end = offset + spec.bytes();
        if offset > 0 {
            header.push(',');
        }
        header.push_str(&format!(
            r#""{}":{{"dtype":"{}","shape":{:?},"data_offsets":[{offset},{end}]}}"#,
            spec.name, spec.dtype, spec.shape
        ));
        offset = end;
    }
    header.push('}');
    while header.len() % 8 != 0 {
        header.push(' ');
    }
    let mut out =
        BufWriter::with_capacity(1 << 20, File::create(directory.join(format!("{name}.safetensors")))?);
    out.write_all(&(header.len() as u64).to_le_bytes())?;
    out.write_all(header.as_bytes())?;
    let mut piece = Vec::new();
    for spec in tensors {
        let mut numbers = Normals::new(spec.seed);
        let mut moves = spec.moved.map(|seed| Normals::new(seed | 1 << 60));
        let mut left = spec.items();
        while left > 0 {
            piece.clear();
            for _ in 0..left.min(1 << 16) {
                let mut number = numbers.next() * spec.scale;
                if spec.dtype == "BF16" {
                    number = to_bf16(number);
                    if let Some(moves) = &mut moves {
                        number = to_bf16(number + moves.next() * spec.scale * MOVE);
                    }
                    piece.extend(((number.to_bits() >> 16) as u16).to_le_bytes());
                } else {
                    piece.extend(number.to_le_bytes());
                }
            }
            left -= left.min(1 << 16);
            out.write_all(&piece)?;
        }
    }
    out.flush()
}

/// Rounds to the nearest number that bfloat16 has, to the even one of two.
fn to_bf16(number: f32) -> f32 {
    let bits = number.to_bits();
    f32::from_bits((bits + 0x7fff + (bits >> 16 & 1)) & 0xffff_0000)
}

/// Normal numbers, the same for the same seed.
pub struct Normals {
    state: u64,
    spare: Option<f32>,
}

impl Normals {
    /// Starts from a seed.
    pub fn new(seed: u64) -> Normals {
        Normals { state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15), spare: None }
    }

    /// The next number, by the transform of Box and Muller.
    pub fn next(&mut self) -> f32 {
        if let Some(number) = self.spare.take() {
            return number;
        }
        let bits = self.bits();
        // Never zero, whose logarithm is infinite.
        let radius = (-2.0 * (((bits >> 40) + 1) as f32 / (1 << 24) as f32).ln()).sqrt();
        let (sin, cos) = ((bits & 0xff_ffff) as f32 / (1 << 24) as f32 * TAU).sin_cos();
        self.spare = Some(radius * sin);
        radius * cos
    }

    /// SplitMix64 (Steele, Lea, Flood 2014).
    fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.state;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }
}
