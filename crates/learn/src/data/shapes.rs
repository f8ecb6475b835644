//! `shapes10`: a built-in data set of ten classes, made by integer arithmetic, so that every platform
//! gets the same bytes.
//!
//! An image shows one shape or texture in a random place, size, tilt and colour on a shaded background,
//! sometimes with a smaller distractor of another class, under pixel noise. Place, size, tilt and colours
//! vary, so single pixels say nothing about the class, and a linear classifier can do little. Every image has a random stream of its own: a larger set extends a smaller
//! one.

use super::images::{IMAGE_BYTES, Images};
use base::rng::Stream;

// How hard the data set is. Changing any of these changes the bytes: bump the version of the `dataset`
// kind.

/// Largest pixel noise, in grey levels; triangular, so that its standard deviation is 0.41 of it.
const NOISE: i32 = 34;
/// Least and largest difference of a shape's colour from the background's, in grey levels per colour.
const CONTRAST: (i32, i32) = (36, 105);
/// How many of 256 images have a shape that is lighter than the background; in the others it is darker.
const LIGHTER: u64 = 224;
/// How many of 256 images have a distractor.
const DISTRACTOR: u64 = 80;
/// Least and largest size (half the extent) of the shape, in 1/16 pixel.
const SIZE: (i32, i32) = (108, 192);
/// The same of the distractor.
const DISTRACTOR_SIZE: (i32, i32) = (40, 72);
/// Largest distance of the shape's centre from the image's, along each axis, in 1/16 pixel.
const SHIFT: i32 = 64;
/// The same of the distractor.
const DISTRACTOR_SHIFT: i32 = 208;
/// Largest tilt to either side: 64 times its sine.
const TILT: i32 = 10;
/// Largest shading of the background towards an edge, in grey levels.
const SHADE: i32 = 24;

/// The classes, by label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Disc,
    Ring,
    Square,
    Frame,
    Triangle,
    Plus,
    Cross,
    HorizontalStripes,
    VerticalStripes,
    Checkerboard,
}

const CLASSES: [Class; 10] = [
    Class::Disc,
    Class::Ring,
    Class::Square,
    Class::Frame,
    Class::Triangle,
    Class::Plus,
    Class::Cross,
    Class::HorizontalStripes,
    Class::VerticalStripes,
    Class::Checkerboard,
];

/// The first `n` images of a split such as `"train"`. Image `i` has label `i % 10`, and depends on the
/// seed, the split and `i` alone. All are made at once, 3,073 bytes each: the caller bounds `n`.
pub fn generate(n: usize, seed: u64, split: &str) -> Images {
    let purpose = format!("shapes10/{split}");
    let mut pixels = vec![0; n * IMAGE_BYTES];
    for (index, image) in pixels.chunks_exact_mut(IMAGE_BYTES).enumerate() {
        paint(image, index % 10, &mut Stream::new(seed, &purpose, &[index as u64]));
    }
    Images { pixels, labels: (0..n).map(|index| (index % 10) as u8).collect(), classes: 10 }
}

/// Paints one image, `[3, 32, 32]`.
fn paint(image: &mut [u8], label: usize, random: &mut Stream) {
    let base: [i32; 3] = [(); 3].map(|()| between(random, (64, 191)));
    let shade: [[i32; 2]; 3] = [[(); 2]; 3].map(|axes| axes.map(|()| between(random, (-SHADE, SHADE))));
    let shape = Figure::draw(CLASSES[label], SIZE, SHIFT, &base, random);
    let distractor = (random.below(256) < DISTRACTOR).then(|| {
        let other = (label + 1 + random.below(9) as usize) % 10;
        Figure::draw(CLASSES[other], DISTRACTOR_SIZE, DISTRACTOR_SHIFT, &base, random)
    });
    for y in 0..32 {
        for x in 0..32 {
            let covered = shape.coverage(x, y);
            let beneath = distractor.as_ref().map_or(0, |figure| figure.coverage(x, y));
            // Three noises of two times four bits each.
            let noise = random.next_u64();
            for colour in 0..3 {
                let [across, down] = shade[colour];
                let mut level = base[colour] + (across * (2 * x - 31) + down * (2 * y - 31)) / 32;
                if let Some(figure) = &distractor {
                    level += (figure.colour[colour] - level) * beneath / 4;
                }
                level += (shape.colour[colour] - level) * covered / 4;
                let bits = (noise >> (8 * colour) & 255) as i32;
                level += ((bits & 15) + (bits >> 4) - 15) * NOISE / 15;
                image[colour * 1024 + (32 * y + x) as usize] = level.clamp(0, 255) as u8;
            }
        }
    }
}

/// A uniform integer from the first bound to the second, both included.
fn between(random: &mut Stream, (least, largest): (i32, i32)) -> i32 {
    least + random.below((largest - least + 1) as u64) as i32
}

/// A shape or textured patch in its place; lengths in 1/16 pixel.
struct Figure {
    class: Class,
    centre: [i32; 2],
    size: i32,
    /// 64 times the tilt's cosine and sine.
    turn: [i32; 2],
    /// Width of lines, bars and cells.
    line: i32,
    /// Where stripes and cells begin.
    phase: [i32; 2],
    /// Upside down, or for a texture: a round patch instead of a square one.
    other: bool,
    colour: [i32; 3],
}

impl Figure {
    fn draw(class: Class, sizes: (i32, i32), shift: i32, base: &[i32; 3], random: &mut Stream) -> Self {
        let size = between(random, sizes);
        let centre = [(); 2].map(|()| 256 + between(random, (-shift, shift)));
        let sine = between(random, (-TILT, TILT));
        let cosine = (64 * 64 - sine * sine).isqrt();
        let line = match class {
            Class::Ring | Class::Frame | Class::Plus | Class::Cross => size * between(random, (10, 20)) / 64,
            _ => size * between(random, (18, 32)) / 64,
        };
        let phase = [(); 2].map(|()| between(random, (0, 2 * line - 1)));
        let other = random.below(2) == 1;
        let sign = if random.below(256) < LIGHTER { 1 } else { -1 };
        let colour = base.map(|level| level + sign * between(random, CONTRAST));
        Self { class, centre, size, turn: [cosine, sine], line, phase, other, colour }
    }

    /// How many of the four quarters of pixel (x, y) have their centre inside.
    fn coverage(&self, x: i32, y: i32) -> i32 {
        let [dx, dy] = [16 * x + 8 - self.centre[0], 16 * y + 8 - self.centre[1]];
        let reach = self.size * 3 / 2 + 16;
        if dx.abs() > reach || dy.abs() > reach {
            return 0;
        }
        let quarters = [[-4, -4], [4, -4], [-4, 4], [4, 4]];
        quarters.iter().map(|[qx, qy]| i32::from(self.holds(dx + qx, dy + qy))).sum()
    }

    /// Whether a point, relative to the centre, is inside.
    fn holds(&self, dx: i32, dy: i32) -> bool {
        let [cosine, sine] = self.turn;
        let (u, v) = ((dx * cosine + dy * sine) / 64, (dy * cosine - dx * sine) / 64);
        let (r, line) = (self.size, self.line);
        let distance2 = u * u + v * v;
        // Half the side of a square with about the disc's area.
        let half = r * 57 / 64;
        // Only where needed: these are asked for every quarter of a pixel.
        let patch = || if self.other { distance2 <= r * r } else { u.abs().max(v.abs()) <= half };
        let stripe = |place: i32, phase: i32| (place + phase).div_euclid(line) & 1;
        match self.class {
            Class::Disc => distance2 <= r * r,
            Class::Ring => (square(r - line)..=square(r)).contains(&distance2),
            Class::Square => u.abs().max(v.abs()) <= half,
            Class::Frame => (half - line..=half).contains(&u.abs().max(v.abs())),
            // Equal sides, the tip at distance r from the centre; 37/64 is the tangent of 30 degrees.
            Class::Triangle => {
                let v = if self.other { -v } else { v };
                v <= r / 2 && 64 * u.abs() <= 37 * (v + r)
            }
            Class::Plus => u.abs().max(v.abs()) <= r && 2 * u.abs().min(v.abs()) <= line,
            // The same, turned by 45 degrees; 181/128 is the square root of 2.
            Class::Cross => {
                let (u, v) = ((u + v) * 128 / 181, (u - v) * 128 / 181);
                u.abs().max(v.abs()) <= r && 2 * u.abs().min(v.abs()) <= line
            }
            Class::HorizontalStripes => patch() && stripe(v, self.phase[1]) == 0,
            Class::VerticalStripes => patch() && stripe(u, self.phase[0]) == 0,
            Class::Checkerboard => patch() && stripe(u, self.phase[0]) != stripe(v, self.phase[1]),
        }
    }
}

fn square(x: i32) -> i32 {
    x * x
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_are_pinned() {
        let images = generate(20, 0, "train");
        // If this fails, shapes10 is another data set: bump the version of the `dataset` kind.
        assert_eq!(blake3::hash(&images.pixels).to_string(), PINNED);
    }

    const PINNED: &str = "50acce1b5480c1d93107662787cba18181b1ac4af2b5a20ebbaa7916e0573244";

    #[test]
    fn a_larger_set_extends_a_smaller_and_splits_and_seeds_differ() {
        let (small, large) = (generate(15, 3, "train"), generate(40, 3, "train"));
        assert_eq!(small.pixels, large.pixels[..small.pixels.len()]);
        assert_eq!(large.labels[8..13], [8, 9, 0, 1, 2]);
        assert_ne!(small.pixels, generate(15, 3, "test").pixels);
        assert_ne!(small.pixels, generate(15, 4, "train").pixels);
        assert!(Images::new(large.pixels, large.labels, large.classes).is_ok());
        assert!(generate(0, 3, "train").is_empty());
    }

    /// A figure without chance, to be looked at from outside.
    fn plain(class: Class, turn: [i32; 2]) -> Figure {
        let (centre, turn, phase) = ([259, 253], turn, [0, 0]);
        Figure { class, centre, size: 160, turn, line: 40, phase, other: false, colour: [0; 3] }
    }

    #[test]
    fn shapes_cover_the_area_that_geometry_says() {
        let area = |class| {
            let figure = plain(class, [62, 15]);
            (0..1024).map(|i| figure.coverage(i % 32, i / 32)).sum::<i32>() as f64 / 4.0
        };
        // In pixels, with r = 10 and lines of 2.5; tilted, so that edges do not fall together with pixels.
        let (pi, side) = (std::f64::consts::PI, 2.0 * 142.0 / 16.0);
        let expected = [
            (Class::Disc, pi * 100.0),
            (Class::Ring, pi * (100.0 - 56.25)),
            (Class::Square, side * side),
            (Class::Frame, side * side - (side - 5.0) * (side - 5.0)),
            (Class::Triangle, 0.75 * 3_f64.sqrt() * 100.0),
            (Class::Plus, 2.0 * 20.0 * 2.5 - 6.25),
            (Class::Cross, 2.0 * 20.0 * 2.5 - 6.25),
            (Class::Checkerboard, side * side / 2.0),
        ];
        for (class, expected) in expected {
            let found = area(class);
            assert!((found - expected).abs() < 0.06 * expected, "{class:?}: {found} instead of {expected}");
        }
    }

    #[test]
    fn stripes_run_the_way_they_are_called() {
        let row = |class, along_x: bool| {
            let figure = plain(class, [64, 0]);
            let at = |i| if along_x { figure.holds(i, 30) } else { figure.holds(30, i) };
            (-140..140).filter(|&i| at(i) != at(i + 1)).count()
        };
        assert_eq!(row(Class::HorizontalStripes, true), 0);
        assert_eq!(row(Class::VerticalStripes, false), 0);
        assert!(row(Class::HorizontalStripes, false) >= 6 && row(Class::VerticalStripes, true) >= 6);
        assert!(row(Class::Checkerboard, true) >= 6 && row(Class::Checkerboard, false) >= 6);
    }
}
