//! Compression of bodies.

use std::io;
use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

/// One gzip member that is made piece by piece. At the fastest level: a scrape is read once, and text compresses tenfold even so.
pub(crate) struct Gzip(GzEncoder<Vec<u8>>);

impl Gzip {
    /// What is compressed goes into `out`, behind what it has.
    pub(crate) fn new(out: Vec<u8>) -> Self {
        Self(GzEncoder::new(out, Compression::fast()))
    }

    pub(crate) fn write(&mut self, text: &[u8]) -> io::Result<()> {
        self.0.write_all(text)
    }

    /// Compressed bytes so far that have not been taken.
    pub(crate) fn packed(&self) -> usize {
        self.0.get_ref().len()
    }

    /// Takes them; what follows goes into `next`.
    pub(crate) fn take(&mut self, next: Vec<u8>) -> Vec<u8> {
        std::mem::replace(self.0.get_mut(), next)
    }

    /// Ends the member, and takes the rest.
    pub(crate) fn finish(&mut self) -> io::Result<Vec<u8>> {
        self.0.try_finish()?;
        Ok(self.take(Vec::new()))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn pieces_read_back_as_one() {
        let piece = "ebpf_exporter_x_total{a=\"b\"} 1\n".repeat(1000);
        let mut gzip = Gzip::new(Vec::new());
        let mut packed = Vec::new();
        for _ in 0..100 {
            gzip.write(piece.as_bytes()).unwrap();
            if gzip.packed() > 0 {
                packed.extend(gzip.take(Vec::new()));
            }
        }
        packed.extend(gzip.finish().unwrap());
        assert!(packed.len() < 10 * piece.len());
        let mut back = String::new();
        flate2::read::GzDecoder::new(packed.as_slice())
            .read_to_string(&mut back)
            .unwrap();
        assert_eq!(back, piece.repeat(100));
    }
}
