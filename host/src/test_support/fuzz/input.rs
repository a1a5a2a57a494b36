//! Bytes as a supply of values.

/// Takes values from the front; when there is nothing more, zeros and empty texts.
pub(crate) struct Input<'a>(&'a [u8]);

/// Names that mean something somewhere, and some that may not be.
const NAMES: [&str; 16] = [
    "a",
    "b",
    "cpu",
    "le",
    "quantile",
    "x_total",
    "x",
    "x_info",
    "x_sum",
    "x_count",
    "x_bucket",
    "x_created",
    "x_seconds",
    "__name__",
    "a-b",
    "",
];

impl<'a> Input<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn rest(self) -> &'a [u8] {
        self.0
    }

    fn take<const N: usize>(&mut self) -> [u8; N] {
        let mut taken = [0; N];
        let (front, rest) = self.0.split_at(N.min(self.0.len()));
        taken[..front.len()].copy_from_slice(front);
        self.0 = rest;
        taken
    }

    pub(crate) fn u8(&mut self) -> u8 {
        let [byte] = self.take();
        byte
    }

    pub(crate) fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.take())
    }

    pub(crate) fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.take())
    }

    pub(crate) fn flag(&mut self) -> bool {
        self.u8() & 1 == 1
    }

    /// 0 to `max`.
    pub(crate) fn up_to(&mut self, max: u8) -> u8 {
        match max.checked_add(1) {
            Some(values) => self.u8() % values,
            None => self.u8(),
        }
    }

    /// Mostly small, sometimes anything.
    pub(crate) fn number(&mut self) -> u32 {
        match self.u8() {
            255 => u32::from_le_bytes(self.take()),
            small => u32::from(small),
        }
    }

    pub(crate) fn float(&mut self) -> f64 {
        match self.u8() {
            0 => 0.0,
            1 => -0.0,
            2 => f64::NAN,
            3 => f64::INFINITY,
            4 => f64::NEG_INFINITY,
            5 => 1.0,
            6 => f64::from_bits(self.u64()),
            small => f64::from(small) / 8.0 - 10.0,
        }
    }

    pub(crate) fn bytes(&mut self) -> Vec<u8> {
        let length = usize::from(self.up_to(40)).min(self.0.len());
        let (front, rest) = self.0.split_at(length);
        self.0 = rest;
        front.to_vec()
    }

    pub(crate) fn text(&mut self) -> String {
        String::from_utf8_lossy(&self.bytes()).into_owned()
    }

    pub(crate) fn name(&mut self) -> String {
        match self.u8() {
            byte @ 0..=239 => NAMES[usize::from(byte) % NAMES.len()].to_owned(),
            _ => self.text(),
        }
    }

    /// As many as a byte says, to 7.
    pub(crate) fn list<T>(&mut self, mut item: impl FnMut(&mut Self) -> T) -> Vec<T> {
        let count = self.up_to(7);
        (0..count).map(|_| item(self)).collect()
    }
}
