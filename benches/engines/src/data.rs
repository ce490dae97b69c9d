//! Keys and values, the same for every engine.
//!
//! A key is 16 digits: 13 for a group of 200 keys and 3 within it, so that a prefix of 13 has exactly 200 rows. A value
//! begins with what it belongs to, so that a read that gives another key's value, or an old one, is seen.

/// Bytes of a key.
pub const KEY_BYTES: usize = 16;

/// Keys that share a prefix.
pub const GROUP: u64 = 200;

/// Bytes of that prefix.
pub const PREFIX_BYTES: usize = 13;

/// The least that a value may have: room for its head.
pub const VALUE_BYTES_MIN: usize = 8;

/// Bits of a head that are the number of the key; the rest is the generation.
const NUMBER_BITS: u32 = 40;

/// What the half of a value that is not random is made of.
const TEXT: &[u8] =
    b"{\"name\":\"Winterthur\",\"country\":\"CH\",\"admin1\":\"ZH\",\"text\":\"0123456789\"},";

/// The key with a number; numbers and keys sort alike.
#[must_use]
pub fn key(number: u64) -> [u8; KEY_BYTES] {
    let mut key = [0; KEY_BYTES];
    let (prefix, rest) = key.split_at_mut(PREFIX_BYTES);
    put_digits(prefix, number / GROUP);
    put_digits(rest, number % GROUP);
    key
}

/// A key that nobody writes, from among those that are written.
#[must_use]
pub fn missing_key(number: u64) -> [u8; KEY_BYTES] {
    let mut key = key(number);
    key[KEY_BYTES - 1] = b'x';
    key
}

fn put_digits(out: &mut [u8], mut number: u64) {
    for digit in out.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// The first eight bytes of a value: whose it is, and which writing of it.
#[must_use]
pub fn head(number: u64, generation: u64) -> u64 {
    generation << NUMBER_BITS | number
}

/// `SplitMix64` (Steele, Lea, Flood 2014).
pub struct Random(pub u64);

impl Random {
    /// The next 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.0)
    }

    /// A number from 0 to below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(bound)) >> 64) as u64
    }

    /// A number from 0 to below 1.
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// The finalizer of `SplitMix64`: a bijection that looks random.
#[must_use]
pub fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// In which order the numbers below a count are written, each once.
#[derive(Clone, Copy)]
pub enum Order {
    /// 0, 1, 2, …
    Ascending,
    /// As if shuffled, by a Feistel network: it takes no memory.
    Shuffled { count: u64, seed: u64 },
}

impl Order {
    /// The number at position `at`.
    #[must_use]
    pub fn number(self, at: u64) -> u64 {
        let Self::Shuffled { count, seed } = self else { return at };
        let half_bits = (u64::BITS - count.max(2).leading_zeros()).div_ceil(2);
        let mask = (1_u64 << half_bits) - 1;
        let mut number = at;
        // What falls outside goes through once more: the network permutes a range of at most four times the count.
        loop {
            let (mut left, mut right) = (number >> half_bits, number & mask);
            for round in 0..4 {
                (left, right) = (right, left ^ mix(right ^ seed ^ round << 56) & mask);
            }
            number = left << half_bits | right;
            if number < count {
                return number;
            }
        }
    }
}

/// Ranks that are the more frequent the lower they are, by the method that YCSB uses (Gray et al. 1994).
pub struct Zipf {
    count: f64,
    theta: f64,
    zeta: f64,
    eta: f64,
}

impl Zipf {
    /// Ranks below `count`.
    #[must_use]
    pub fn new(count: u64, theta: f64) -> Self {
        let zeta = |count: u64| (1..=count).map(|rank| (rank as f64).powf(-theta)).sum::<f64>();
        let all = zeta(count);
        let eta = (1.0 - (2.0 / count as f64).powf(1.0 - theta)) / (1.0 - zeta(2) / all);
        Self { count: count as f64, theta, zeta: all, eta }
    }

    /// The rank for a random number from 0 to below 1.
    #[must_use]
    pub fn rank(&self, unit: f64) -> u64 {
        let scaled = unit * self.zeta;
        if scaled < 1.0 {
            return 0;
        }
        if scaled < 1.0 + 0.5_f64.powf(self.theta) {
            return 1;
        }
        let rank = self.count * (self.eta * unit - self.eta + 1.0).powf(1.0 / (1.0 - self.theta));
        rank.min(self.count - 1.0) as u64
    }
}

/// Entries that are made before the clock starts. Its memory is used again for the next ones.
pub struct Block {
    keys: Vec<u8>,
    values: Vec<u8>,
    value_bytes: usize,
    random: Random,
}

impl Block {
    /// An empty block for values of `value_bytes`.
    #[must_use]
    pub fn new(value_bytes: usize, seed: u64) -> Self {
        assert!(value_bytes >= VALUE_BYTES_MIN, "a value has at least {VALUE_BYTES_MIN} bytes");
        Self { keys: Vec::new(), values: Vec::new(), value_bytes, random: Random(seed) }
    }

    /// Replaces what is in the block by entries with these numbers.
    pub fn fill(&mut self, numbers: impl Iterator<Item = u64>, generation: u64) {
        self.keys.clear();
        self.values.clear();
        for number in numbers {
            self.keys.extend_from_slice(&key(number));
            let start = self.values.len();
            self.values.resize(start + self.value_bytes, 0);
            let (first, rest) = self.values[start..].split_at_mut(VALUE_BYTES_MIN);
            first.copy_from_slice(&head(number, generation).to_le_bytes());
            let (text, random) = rest.split_at_mut(rest.len() / 2);
            for part in text.chunks_mut(TEXT.len()) {
                part.copy_from_slice(&TEXT[..part.len()]);
            }
            for part in random.chunks_mut(8) {
                part.copy_from_slice(&self.random.bits().to_le_bytes()[..part.len()]);
            }
        }
    }

    /// All entries.
    #[must_use]
    pub fn entries(&self) -> Entries<'_> {
        Entries { keys: &self.keys, values: &self.values, value_bytes: self.value_bytes }
    }

    /// The entries in batches of `size`; the last one may be smaller.
    pub fn batches(&self, size: u64) -> impl Iterator<Item = Entries<'_>> {
        let size = size as usize;
        self.keys
            .chunks(KEY_BYTES * size)
            .zip(self.values.chunks(self.value_bytes * size))
            .map(|(keys, values)| Entries { keys, values, value_bytes: self.value_bytes })
    }
}

/// Entries of one size, in the memory of a block.
#[derive(Clone, Copy)]
pub struct Entries<'a> {
    keys: &'a [u8],
    values: &'a [u8],
    value_bytes: usize,
}

impl<'a> Entries<'a> {
    /// How many there are.
    #[must_use]
    pub fn len(self) -> usize {
        self.keys.len() / KEY_BYTES
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.keys.is_empty()
    }

    /// Bytes of keys and values.
    #[must_use]
    pub fn bytes(self) -> usize {
        self.keys.len() + self.values.len()
    }

    /// Keys and values.
    pub fn iter(self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        self.keys.chunks_exact(KEY_BYTES).zip(self.values.chunks_exact(self.value_bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_sort_as_their_numbers_do_and_a_prefix_has_a_group() {
        let keys: Vec<_> = (0..1_000).map(key).collect();

        assert!(keys.is_sorted());
        let second_group = keys.iter().filter(|key| key[..PREFIX_BYTES] == keys[200][..PREFIX_BYTES]);
        assert_eq!(second_group.count() as u64, GROUP);
        assert!((0..1_000).all(|number| !keys.contains(&missing_key(number))));
    }

    #[test]
    fn low_ranks_come_as_often_as_their_distribution_says() {
        let zipf = Zipf::new(1_000, 0.99);
        let mut random = Random(1);
        let mut counts = vec![0.0; 1_000];
        (0..200_000).for_each(|_| counts[zipf.rank(random.unit()) as usize] += 1.0);

        let share = |rank: usize| counts[rank] / 200_000.0;

        assert!((share(0) - 1.0 / zipf.zeta).abs() < 0.01, "{}", share(0));
        assert!((share(1) - 0.5_f64.powf(0.99) / zipf.zeta).abs() < 0.01, "{}", share(1));
        assert!(counts[999] < counts[0] / 100.0);
    }

    #[test]
    fn a_shuffled_order_has_every_number_once() {
        for count in [1, 2, 3, 1_000, 65_536, 100_003] {
            let order = Order::Shuffled { count, seed: 5 };
            let mut numbers: Vec<u64> = (0..count).map(|at| order.number(at)).collect();
            assert!(count < 100 || !numbers.is_sorted());
            numbers.sort_unstable();
            assert!(numbers.into_iter().eq(0..count), "{count}");
        }
    }
}
