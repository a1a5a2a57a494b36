//! Compression of bodies.

use std::io;
use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use zstd::stream::raw::{Encoder, InBuffer, Operation, OutBuffer};

use super::negotiate::Encoding;

/// A compressed body that is made chunk by chunk. At the fastest level: a scrape is read once, and
/// text compresses tenfold even so.
pub(crate) enum Compressor {
    /// One gzip member.
    Gzip(Box<GzEncoder<Vec<u8>>>),
    /// One zstd frame.
    Zstd(Zstd),
}

impl Compressor {
    /// What is compressed goes into what `out` gives, behind what it has. None: the encoding is no
    /// compression.
    pub(crate) fn new(
        encoding: Encoding,
        out: impl FnOnce() -> Vec<u8>,
    ) -> io::Result<Option<Self>> {
        Ok(match encoding {
            Encoding::Identity => None,
            Encoding::Gzip => {
                let encoder = GzEncoder::new(out(), Compression::fast());
                Some(Self::Gzip(Box::new(encoder)))
            }
            Encoding::Zstd => Some(Self::Zstd(Zstd {
                encoder: Encoder::new(ZSTD_LEVEL)?,
                out: out(),
            })),
        })
    }

    pub(crate) fn write(&mut self, text: &[u8]) -> io::Result<()> {
        match self {
            Self::Gzip(gzip) => gzip.write_all(text),
            Self::Zstd(zstd) => zstd.write(text),
        }
    }

    /// Compressed bytes so far that have not been taken.
    pub(crate) fn buffered(&self) -> usize {
        match self {
            Self::Gzip(gzip) => gzip.get_ref().len(),
            Self::Zstd(zstd) => zstd.out.len(),
        }
    }

    /// Takes them; what follows goes into `next`.
    pub(crate) fn take(&mut self, next: Vec<u8>) -> Vec<u8> {
        let out = match self {
            Self::Gzip(gzip) => gzip.get_mut(),
            Self::Zstd(zstd) => &mut zstd.out,
        };
        std::mem::replace(out, next)
    }

    /// Ends the body, and takes the rest. To be called once, and nothing after it.
    pub(crate) fn finish(&mut self) -> io::Result<Vec<u8>> {
        match self {
            Self::Gzip(gzip) => gzip.try_finish()?,
            Self::Zstd(zstd) => zstd.finish()?,
        }
        Ok(self.take(Vec::new()))
    }
}

const ZSTD_LEVEL: i32 = 1;
/// There is always this much room for what zstd has ready, in bytes.
const ROOM: usize = 16 << 10;

/// Its tables, 1 MB, are allocated anew for each body: keeping them would spare 12 us.
pub(crate) struct Zstd {
    encoder: Encoder<'static>,
    out: Vec<u8>,
}

impl Zstd {
    /// Has the encoder do something, with room for what comes out.
    fn step<T>(
        &mut self,
        act: impl FnOnce(&mut Encoder<'static>, &mut OutBuffer<'_, Vec<u8>>) -> io::Result<T>,
    ) -> io::Result<T> {
        self.out.reserve(ROOM);
        let filled = self.out.len();
        let mut out = OutBuffer::around_pos(&mut self.out, filled);
        act(&mut self.encoder, &mut out)
    }

    fn write(&mut self, text: &[u8]) -> io::Result<()> {
        let mut input = InBuffer::around(text);
        while input.pos() < text.len() {
            self.step(|encoder, out| encoder.run(&mut input, out))?;
        }
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        while self.step(|encoder, out| encoder.finish(out, true))? > 0 {}
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    const LINE: &str = "ebpf_exporter_x_total{a=\"b\"} 1\n";

    fn compressor(encoding: Encoding) -> Compressor {
        Compressor::new(encoding, Vec::new).unwrap().unwrap()
    }

    fn decompressed(encoding: Encoding, compressed: &[u8]) -> String {
        let mut text = String::new();
        match encoding {
            Encoding::Identity => unreachable!("nothing to decompress"),
            Encoding::Gzip => {
                let mut reader = flate2::read::GzDecoder::new(compressed);
                reader.read_to_string(&mut text).unwrap();
            }
            Encoding::Zstd => {
                text = String::from_utf8(zstd::decode_all(compressed).unwrap()).unwrap()
            }
        }
        text
    }

    #[test]
    fn chunks_read_back_as_one() {
        for encoding in [Encoding::Gzip, Encoding::Zstd] {
            let chunk = LINE.repeat(1000);
            let mut compressor = compressor(encoding);
            let mut compressed = Vec::new();
            for _ in 0..100 {
                compressor.write(chunk.as_bytes()).unwrap();
                if compressor.buffered() > 0 {
                    compressed.extend(compressor.take(Vec::new()));
                }
            }
            compressed.extend(compressor.finish().unwrap());
            assert!(compressed.len() < 10 * chunk.len());
            assert!(decompressed(encoding, &compressed) == chunk.repeat(100));
        }
    }

    /// More at once than there is room for, and what does not compress.
    #[test]
    fn nothing_is_too_large() {
        let mut state = 1_u32;
        let noise = |_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            char::from(b' ' + (state >> 25) as u8 % 95)
        };
        let text: String = (0..1_000_000).map(noise).collect();
        for encoding in [Encoding::Gzip, Encoding::Zstd] {
            let mut compressor = compressor(encoding);
            compressor.write(text.as_bytes()).unwrap();
            let mut compressed = compressor.take(Vec::new());
            compressed.extend(compressor.finish().unwrap());
            assert!(decompressed(encoding, &compressed) == text);
        }
    }

    #[test]
    fn an_empty_body_is_one_too() {
        for encoding in [Encoding::Gzip, Encoding::Zstd] {
            let compressed = compressor(encoding).finish().unwrap();
            assert_eq!(decompressed(encoding, &compressed), "");
        }
    }
}
