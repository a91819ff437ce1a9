//! What h2 does not tell of a header section (RFC 7541).
//!
//! h2 drops pseudo-fields that stand in trailers, and a scheme that no authority stands
//! beside. To see these, what names stand in a section has to be known, and for that which
//! names have come before: fields are named by where they stand in a table of the last ones,
//! and how many that are depends on how long they are. No more than this is kept, and no
//! text is decoded: the length of one says how many symbols there are.

use std::collections::VecDeque;

/// Bytes of the fields that a client may refer to (RFC 9113 section 6.5.2), as RFC 7541
/// section 4.1 counts them.
const TABLE_BYTES: usize = 4096;
const ENTRY_BYTES: usize = 32;

/// The names of the static table (RFC 7541 appendix A).
const STATIC: [&str; 61] = [
    ":authority",
    ":method",
    ":method",
    ":path",
    ":path",
    ":scheme",
    ":scheme",
    ":status",
    ":status",
    ":status",
    ":status",
    ":status",
    ":status",
    ":status",
    "accept-charset",
    "accept-encoding",
    "accept-language",
    "accept-ranges",
    "accept",
    "access-control-allow-origin",
    "age",
    "allow",
    "authorization",
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-length",
    "content-location",
    "content-range",
    "content-type",
    "cookie",
    "date",
    "etag",
    "expect",
    "expires",
    "from",
    "host",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "last-modified",
    "link",
    "location",
    "max-forwards",
    "proxy-authenticate",
    "proxy-authorization",
    "range",
    "referer",
    "refresh",
    "retry-after",
    "server",
    "set-cookie",
    "strict-transport-security",
    "transfer-encoding",
    "user-agent",
    "vary",
    "via",
    "www-authenticate",
];

/// Numbers of symbols with codes of so many bits, up to 30 (RFC 7541 appendix B). The code is
/// canonical: that is all it takes to find where a symbol ends. The end of a text, which may
/// not stand in one, is left out.
const SYMBOLS: [u32; 31] = [
    0, 0, 0, 0, 0, 10, 26, 32, 6, 0, 5, 3, 2, 6, 2, 3, 0, 0, 0, 3, 8, 13, 26, 29, 12, 4, 15, 19,
    29, 0, 3,
];

/// `:scheme` in that code, and the colon that pseudo-fields begin with: its seven bits are the
/// first of a byte.
const SCHEME: [u8; 5] = [0xb8, 0x82, 0x4e, 0x5a, 0x4b];
const COLON: u8 = 0xb8;

/// What of a header section h2 does not tell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Section {
    /// A pseudo-field stands in it.
    pub(super) pseudo: bool,
    /// It has a scheme, which is empty.
    pub(super) empty_scheme: bool,
}

/// The header section cannot be read; h2 ends such a connection.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Garbled;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Scheme,
    Pseudo,
    Field,
}

#[derive(Debug, Clone, Copy)]
struct Name {
    kind: Kind,
    length: usize,
}

#[derive(Debug, Clone, Copy)]
struct Field {
    name: Name,
    value_length: usize,
}

/// The last fields of a connection, the latest first (RFC 7541 section 2.3.2).
#[derive(Debug)]
pub(super) struct Table {
    fields: VecDeque<Field>,
    bytes: usize,
    most: usize,
}

impl Default for Table {
    fn default() -> Self {
        Self {
            fields: VecDeque::new(),
            bytes: 0,
            most: TABLE_BYTES,
        }
    }
}

impl Table {
    /// Reads a whole header section.
    pub(super) fn read(&mut self, section: &[u8]) -> Result<Section, Garbled> {
        let mut rest = Rest(section);
        let mut seen = Section::default();
        while let Some(&first) = rest.0.first() {
            // RFC 7541 section 6.
            let field = if first & 0x80 != 0 {
                self.find(rest.number(7)?)?
            } else if first & 0xe0 == 0x20 {
                self.most = rest.number(5)?;
                if self.most > TABLE_BYTES {
                    return Err(Garbled);
                }
                self.evict(0);
                continue;
            } else {
                let indexed = first & 0x40 != 0;
                let at = rest.number(if indexed { 6 } else { 4 })?;
                let name = if at == 0 {
                    rest.text()?.name()?
                } else {
                    self.find(at)?.name
                };
                let value = rest.text()?;
                let field = Field {
                    name,
                    value_length: value.length()?,
                };
                if indexed {
                    self.add(field);
                }
                field
            };
            seen.pseudo |= field.name.kind != Kind::Field;
            seen.empty_scheme |= field.name.kind == Kind::Scheme && field.value_length == 0;
        }
        Ok(seen)
    }

    fn find(&self, at: usize) -> Result<Field, Garbled> {
        let at = at.checked_sub(1).ok_or(Garbled)?;
        if let Some(name) = STATIC.get(at) {
            let name = Text {
                encoded: false,
                bytes: name.as_bytes(),
            };
            // None of those that are looked at is empty.
            let value_length = 1;
            return Ok(Field {
                name: name.name()?,
                value_length,
            });
        }
        let field = self.fields.get(at - STATIC.len());
        field.copied().ok_or(Garbled)
    }

    fn add(&mut self, field: Field) {
        let bytes = field.bytes();
        self.evict(bytes);
        if bytes <= self.most {
            self.bytes += bytes;
            self.fields.push_front(field);
        }
    }

    /// Makes room for so many bytes (RFC 7541 section 4.4).
    fn evict(&mut self, more: usize) {
        while self.bytes + more > self.most
            && let Some(last) = self.fields.pop_back()
        {
            self.bytes -= last.bytes();
        }
    }
}

impl Field {
    fn bytes(self) -> usize {
        self.name.length + self.value_length + ENTRY_BYTES
    }
}

/// What has not been read of a section.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn byte(&mut self) -> Result<u8, Garbled> {
        let (first, rest) = self.0.split_first().ok_or(Garbled)?;
        self.0 = rest;
        Ok(*first)
    }

    /// A number whose first part are the last `bits` of a byte (RFC 7541 section 5.1).
    fn number(&mut self, bits: u32) -> Result<usize, Garbled> {
        let most = (1_usize << bits) - 1;
        let mut number = usize::from(self.byte()?) & most;
        if number < most {
            return Ok(number);
        }
        // No section is longer than what four more bytes say.
        for shift in [0, 7, 14, 21] {
            let byte = self.byte()?;
            number += usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(Garbled)
    }

    /// A text (RFC 7541 section 5.2).
    fn text(&mut self) -> Result<Text<'a>, Garbled> {
        let encoded = self.0.first().is_some_and(|first| first & 0x80 != 0);
        let length = self.number(7)?;
        let (bytes, rest) = self.0.split_at_checked(length).ok_or(Garbled)?;
        self.0 = rest;
        Ok(Text { encoded, bytes })
    }
}

#[derive(Clone, Copy)]
struct Text<'a> {
    encoded: bool,
    bytes: &'a [u8],
}

impl Text<'_> {
    fn name(self) -> Result<Name, Garbled> {
        let (colon, scheme) = if self.encoded {
            let first = self.bytes.first().map(|first| first & 0xfe);
            (first == Some(COLON), self.bytes == SCHEME)
        } else {
            (self.bytes.starts_with(b":"), self.bytes == b":scheme")
        };
        let kind = match (colon, scheme) {
            (_, true) => Kind::Scheme,
            (true, false) => Kind::Pseudo,
            (false, false) => Kind::Field,
        };
        let length = self.length()?;
        Ok(Name { kind, length })
    }

    /// How long it is once it is decoded.
    fn length(self) -> Result<usize, Garbled> {
        if !self.encoded {
            return Ok(self.bytes.len());
        }
        let mut symbols = 0;
        let mut code = Code::default();
        for byte in self.bytes {
            for bit in (0..8).rev() {
                symbols += usize::from(code.ends_with(byte >> bit & 1)?);
            }
        }
        Ok(symbols)
    }
}

/// A symbol's code up to some bit.
#[derive(Default)]
struct Code {
    bits: usize,
    /// The code less the first one of its length.
    above: u32,
}

impl Code {
    /// Whether the symbol ends with one more bit.
    fn ends_with(&mut self, bit: u8) -> Result<bool, Garbled> {
        self.bits += 1;
        self.above = self.above << 1 | u32::from(bit);
        let symbols = *SYMBOLS.get(self.bits).ok_or(Garbled)?;
        if self.above < symbols {
            *self = Self::default();
            return Ok(true);
        }
        self.above -= symbols;
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
        let pair = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
        digits.chunks(2).map(pair).collect()
    }

    const REQUEST: Section = Section {
        pseudo: true,
        empty_scheme: false,
    };

    /// RFC 7541 appendix C.3, C.4 and C.6, with the sizes of the table that are given there.
    #[test]
    fn the_examples_of_the_standard_are_read() {
        for (sections, most) in [
            (
                &[
                    ("828684410f7777772e6578616d706c652e636f6d", 57),
                    ("828684be58086e6f2d6361636865", 110),
                    (
                        "828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565",
                        164,
                    ),
                ][..],
                4096,
            ),
            (
                &[
                    ("828684418cf1e3c2e5f23a6ba0ab90f4ff", 57),
                    ("828684be5886a8eb10649cbf", 110),
                    ("828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf", 164),
                ],
                4096,
            ),
            (
                &[
                    (
                        "488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff\
                         6e919d29ad171863c78f0b97c8e9ae82ae43d3",
                        222,
                    ),
                    ("4883640effc1c0bf", 222),
                    (
                        "88c16196d07abe941054d444a8200595040b8166e084a62d1bffc05a839bd9ab77ad94\
                         e7821dd7f2e6c7b335dfdfcd5b3960d5af27087f3672c1ab270fb5291f9587316065c0\
                         03ed4ee5b1063d5007",
                        215,
                    ),
                ],
                256,
            ),
        ] {
            let mut table = Table {
                most,
                ..Table::default()
            };
            for (section, bytes) in sections {
                assert_eq!(table.read(&hex(section)), Ok(REQUEST), "{section}");
                assert_eq!(table.bytes, *bytes, "{section}");
            }
        }
    }

    #[test]
    fn pseudo_fields_and_empty_schemes_are_seen_however_they_are_written() {
        let literal = |name: &[u8], value: &[u8]| {
            let length = |text: &[u8], mark: u8| u8::try_from(text.len()).unwrap() | mark;
            let encoded = if name == SCHEME { 0x80 } else { 0 };
            [
                &[0x40, length(name, encoded)],
                name,
                &[length(value, 0)],
                value,
            ]
            .concat()
        };
        let empty = Section {
            pseudo: true,
            empty_scheme: true,
        };
        for (section, expected) in [
            (literal(b"x-a", b""), Section::default()),
            (literal(b"x:scheme", b""), Section::default()),
            (literal(b":path", b""), REQUEST),
            (literal(b":scheme", b"x"), REQUEST),
            (literal(b":scheme", b""), empty),
            (literal(&SCHEME, b""), empty),
            // Named by the static table: never to be indexed, not indexed, indexed.
            (vec![0x16, 0], empty),
            (vec![0x06, 0], empty),
            (vec![0x46, 0], empty),
            (vec![0x41, 0], REQUEST),
            (vec![0x87], REQUEST),
            (vec![0x8f], Section::default()),
        ] {
            assert_eq!(
                Table::default().read(&section),
                Ok(expected),
                "{section:x?}"
            );
        }
        let mut table = Table::default();
        table.read(&literal(b":scheme", b"")).unwrap();
        table.read(&literal(b"x-a", b"1")).unwrap();
        // The latest is the first after the static ones.
        assert_eq!(table.read(&[0xbe]), Ok(Section::default()));
        assert_eq!(table.read(&[0xbf]), Ok(empty));
        assert_eq!(table.read(&[0x7f, 0x00, 0x00]), Ok(empty), "by its name");
        assert_eq!(
            table.read(&[0x20, 0xbe]),
            Err(Garbled),
            "the table was emptied"
        );
    }

    #[test]
    fn what_cannot_be_read_is_said_to_be_so() {
        for section in [
            "80",               // No index.
            "be",               // Nothing there.
            "3fe21f",           // A table of 4097 bytes.
            "ffffffffff7f",     // A number without end.
            "400161",           // No value.
            "400561",           // Less than it says.
            "40016184ffffffff", // The end of a text within one.
        ] {
            assert_eq!(
                Table::default().read(&hex(section)),
                Err(Garbled),
                "{section}"
            );
        }
        assert_eq!(
            Table::default().read(&hex("3fe11f")),
            Ok(Section::default())
        );
    }

    /// A field as long as the table is the only one in it; a longer one empties it.
    #[test]
    fn long_fields_drive_others_out() {
        let mut table = Table::default();
        let long = |length: usize| {
            let mut section = vec![0x40, 1, b'a', 0x7f];
            let mut rest = length - 127;
            while rest >= 128 {
                section.push(u8::try_from(rest % 128).unwrap() | 0x80);
                rest /= 128;
            }
            section.push(u8::try_from(rest).unwrap());
            section.extend(vec![b'x'; length]);
            section
        };
        table.read(&hex("40016101 62")).unwrap();
        table.read(&long(TABLE_BYTES - 33)).unwrap();
        assert_eq!((table.fields.len(), table.bytes), (1, TABLE_BYTES));
        table.read(&long(TABLE_BYTES - 32)).unwrap();
        assert_eq!((table.fields.len(), table.bytes), (0, 0));
    }
}
