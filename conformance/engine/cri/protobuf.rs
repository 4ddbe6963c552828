//! Just enough of protobuf's wire format for the CRI.
//! <https://protobuf.dev/programming-guides/encoding/>

/// A message to be sent.
#[derive(Clone, Default)]
pub(crate) struct Message(Vec<u8>);

impl Message {
    pub(crate) fn bytes(mut self, field: u64, bytes: &[u8]) -> Self {
        self.varint(field << 3 | 2);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
        self
    }

    pub(crate) fn text(self, field: u64, text: &str) -> Self {
        self.bytes(field, text.as_bytes())
    }

    pub(crate) fn texts(self, field: u64, texts: &[&str]) -> Self {
        texts.iter().fold(self, |message, text| message.text(field, text))
    }

    pub(crate) fn number(mut self, field: u64, number: u64) -> Self {
        self.varint(field << 3);
        self.varint(number);
        self
    }

    pub(crate) fn message(self, field: u64, message: &Self) -> Self {
        self.bytes(field, &message.0)
    }

    fn varint(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push(number.to_le_bytes()[0] | 0x80);
            number >>= 7;
        }
        self.0.push(number.to_le_bytes()[0]);
    }

    /// As gRPC frames it: not compressed, and the length.
    pub(crate) fn framed(&self) -> Vec<u8> {
        let length = u32::try_from(self.0.len()).expect("a short message");
        [&[0], &length.to_be_bytes()[..], &self.0].concat()
    }
}

/// A message that was received.
#[derive(Default)]
pub(crate) struct Fields(Vec<(u64, u64, Vec<u8>)>);

impl Fields {
    pub(crate) fn parse(mut bytes: &[u8]) -> Self {
        let mut fields = Vec::new();
        while !bytes.is_empty() {
            let key = varint(&mut bytes);
            match key & 7 {
                0 => fields.push((key >> 3, varint(&mut bytes), Vec::new())),
                2 => {
                    let length = usize::try_from(varint(&mut bytes)).expect("a length");
                    fields.push((key >> 3, 0, bytes[..length].to_vec()));
                    bytes = &bytes[length..];
                }
                kind => panic!("wire type {kind}"),
            }
        }
        Self(fields)
    }

    /// Zero if it is not there, as protobuf has it.
    pub(crate) fn number(&self, field: u64) -> u64 {
        self.0.iter().find(|(key, ..)| *key == field).map_or(0, |(_, number, _)| *number)
    }

    pub(crate) fn text(&self, field: u64) -> String {
        String::from_utf8_lossy(self.bytes(field)).into_owned()
    }

    pub(crate) fn message(&self, field: u64) -> Self {
        Self::parse(self.bytes(field))
    }

    fn bytes(&self, field: u64) -> &[u8] {
        self.0.iter().find(|(key, ..)| *key == field).map_or(&[], |(.., bytes)| bytes)
    }
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first().expect("a whole number");
        *bytes = rest;
        number |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            break;
        }
    }
    number
}
