//! D-Bus messages: the few shapes that systemd's manager takes and sends.
//! <https://dbus.freedesktop.org/doc/dbus-specification.html#message-protocol>
//!
//! Pure. Numbers are little-endian, as on every machine that minke runs on.

use super::variant::Value;

/// What a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Call,
    Return,
    Error,
    Signal,
    /// Types of later protocols, which are to be ignored.
    Unknown,
}

/// Length of the part of a header that says how long the rest is.
pub(super) const START: usize = 16;
/// Longest message that is read: systemd's answers are a few hundred bytes.
const LONGEST: usize = 1 << 20;

/// `NO_REPLY_EXPECTED`.
const NO_REPLY: u8 = 1;

/// A call of a method.
#[derive(Debug)]
pub(super) struct Call<'a> {
    pub(super) destination: &'a str,
    pub(super) path: &'a str,
    pub(super) interface: &'a str,
    pub(super) member: &'a str,
    pub(super) signature: &'a str,
    pub(super) body: Body,
    /// Whether an answer is wanted.
    pub(super) answered: bool,
}

impl Call<'_> {
    /// The message; `serial` is not 0, and not another message's.
    pub(super) fn encode(&self, serial: u32) -> Vec<u8> {
        let mut out = Body(vec![b'l', 1, if self.answered { 0 } else { NO_REPLY }, 1]);
        out.u32(u32::try_from(self.body.0.len()).unwrap_or(u32::MAX));
        out.u32(serial);
        out.array(8, |fields| {
            for (code, kind, text) in [
                (1, b'o', self.path),
                (2, b's', self.interface),
                (3, b's', self.member),
                (6, b's', self.destination),
                (8, b'g', self.signature),
            ] {
                if text.is_empty() {
                    continue;
                }
                fields.align(8);
                fields.0.extend([code, 1, kind, 0]);
                if kind == b'g' { fields.signature(text) } else { fields.string(text) }
            }
        });
        out.align(8);
        out.0.extend_from_slice(&self.body.0);
        out.0
    }
}

/// Bytes to which values are appended.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Body(pub(super) Vec<u8>);

impl Body {
    fn align(&mut self, to: usize) {
        self.0.resize(self.0.len().next_multiple_of(to), 0);
    }

    fn number<const N: usize>(&mut self, bytes: [u8; N]) {
        self.align(N);
        self.0.extend(bytes);
    }

    pub(super) fn u32(&mut self, value: u32) {
        self.number(value.to_le_bytes());
    }

    pub(super) fn string(&mut self, text: &str) {
        self.u32(u32::try_from(text.len()).unwrap_or(u32::MAX));
        self.0.extend(text.as_bytes());
        self.0.push(0);
    }

    fn signature(&mut self, text: &str) {
        self.0.push(u8::try_from(text.len()).unwrap_or(u8::MAX));
        self.0.extend(text.as_bytes());
        self.0.push(0);
    }

    /// An array of elements that begin at multiples of `align`.
    fn array(&mut self, align: usize, fill: impl FnOnce(&mut Self)) {
        self.u32(0);
        let length = self.0.len() - 4;
        self.align(align);
        let start = self.0.len();
        fill(self);
        let bytes = u32::try_from(self.0.len() - start).unwrap_or(u32::MAX);
        self.0[length..length + 4].copy_from_slice(&bytes.to_le_bytes());
    }

    /// `a(sv)`: properties of a unit.
    pub(super) fn properties(&mut self, properties: &[(String, Value)]) {
        self.array(8, |list| {
            for (name, value) in properties {
                list.align(8);
                list.string(name);
                list.signature(value.signature());
                list.value(value);
            }
        });
    }

    /// An array without elements that would begin at multiples of 8.
    pub(super) fn nothing(&mut self) {
        self.array(8, |_| ());
    }

    pub(super) fn value(&mut self, value: &Value) {
        match value {
            Value::Bool(value) => self.u32(u32::from(*value)),
            Value::Byte(value) => self.0.push(*value),
            Value::Int16(value) => self.number(value.to_le_bytes()),
            Value::Uint16(value) => self.number(value.to_le_bytes()),
            Value::Int32(value) => self.number(value.to_le_bytes()),
            Value::Uint32(value) => self.u32(*value),
            Value::Int64(value) => self.number(value.to_le_bytes()),
            Value::Uint64(value) => self.number(value.to_le_bytes()),
            Value::Double(value) => self.number(value.to_le_bytes()),
            Value::String(text) | Value::Path(text) => self.string(text),
            Value::Strings(list) => {
                self.array(4, |out| list.iter().for_each(|text| out.string(text)));
            }
            Value::Bytes(list) => self.array(1, |out| out.0.extend(list)),
            Value::Uint32s(list) => self.array(4, |out| list.iter().for_each(|n| out.u32(*n))),
            Value::Devices(list) => self.array(8, |out| {
                for (path, number) in list {
                    out.align(8);
                    out.string(path);
                    out.number(number.to_le_bytes());
                }
            }),
        }
    }
}

/// A message that came, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) kind: Kind,
    /// Serial of the call that it answers.
    pub(super) answers: u32,
    pub(super) member: String,
    /// Name of an error.
    pub(super) error: String,
    /// The strings and object paths at the front of the body, without the
    /// numbers between them.
    pub(super) strings: Vec<String>,
}

/// How many bytes follow the first [`START`]; `None` if this is no message.
pub(super) fn rest(start: &[u8]) -> Option<usize> {
    if start.first() != Some(&b'l') || start.get(3) != Some(&1) {
        return None;
    }
    let mut reader = Reader { bytes: start, at: 4 };
    let body = usize::try_from(reader.u32()?).ok()?;
    reader.u32()?;
    let fields = usize::try_from(reader.u32()?).ok()?;
    let rest = fields.checked_next_multiple_of(8)?.checked_add(body)?;
    (rest <= LONGEST).then_some(rest)
}

/// Reads a whole message; `None` if it is none.
pub(super) fn decode(bytes: &[u8]) -> Option<Message> {
    let kind = match bytes.get(1)? {
        1 => Kind::Call,
        2 => Kind::Return,
        3 => Kind::Error,
        4 => Kind::Signal,
        _ => Kind::Unknown,
    };
    let mut message = Message {
        kind,
        answers: 0,
        member: String::new(),
        error: String::new(),
        strings: Vec::new(),
    };
    let mut reader = Reader { bytes, at: 12 };
    let end = START + usize::try_from(reader.u32()?).ok()?;
    let mut signature = String::new();
    while reader.at < end {
        reader.align(8);
        let code = reader.byte()?;
        let kind = reader.signature()?;
        let (mut number, mut text) = (0, String::new());
        match kind.as_str() {
            "u" => number = reader.u32()?,
            "s" | "o" => text = reader.string()?,
            "g" => text = reader.signature()?,
            _ => return None,
        }
        match code {
            3 => message.member = text,
            4 => message.error = text,
            5 => message.answers = number,
            8 => signature = text,
            _ => {}
        }
    }
    reader.align(8);
    for kind in signature.chars() {
        match kind {
            'u' => drop(reader.u32()?),
            's' | 'o' => message.strings.push(reader.string()?),
            _ => break,
        }
    }
    Some(message)
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn align(&mut self, to: usize) {
        self.at = self.at.next_multiple_of(to);
    }

    fn take(&mut self, count: usize) -> Option<&[u8]> {
        let bytes = self.bytes.get(self.at..self.at.checked_add(count)?)?;
        self.at += count;
        Some(bytes)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    fn u32(&mut self) -> Option<u32> {
        self.align(4);
        self.take(4)?.try_into().ok().map(u32::from_le_bytes)
    }

    fn text(&mut self, count: usize) -> Option<String> {
        let text = self.take(count.checked_add(1)?)?;
        String::from_utf8(text.get(..count)?.to_vec()).ok()
    }

    fn string(&mut self) -> Option<String> {
        let count = self.u32()?;
        self.text(usize::try_from(count).ok()?)
    }

    fn signature(&mut self) -> Option<String> {
        let count = self.byte()?;
        self.text(usize::from(count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(body: Body, signature: &'static str) -> Vec<u8> {
        let call = Call {
            destination: "a.b",
            path: "/p",
            interface: "i.j",
            member: "M",
            signature,
            body,
            answered: true,
        };
        call.encode(7)
    }

    #[test]
    fn a_message_reads_back() {
        let mut body = Body::default();
        body.u32(5);
        body.string("one");
        body.string("/two");
        let mut bytes = call(body, "uso");
        assert_eq!(rest(&bytes[..START]), Some(bytes.len() - START));
        // As a signal.
        bytes[1] = 4;
        let message = decode(&bytes).unwrap();
        assert_eq!(message.kind, Kind::Signal);
        assert_eq!(message.member, "M");
        assert_eq!(message.strings, ["one", "/two"]);
    }

    /// The example of a header in the specification's chapter on alignment:
    /// fields begin at multiples of 8, and so does the body.
    #[test]
    fn parts_are_aligned() {
        let bytes = call(Body(vec![1]), "y");
        assert_eq!((bytes.len() - 1) % 8, 0);
        assert_eq!(bytes[..4], [b'l', 1, 0, 1]);
        assert_eq!(bytes[4..12], [1, 0, 0, 0, 7, 0, 0, 0]);
        assert_eq!(bytes[16..20], [1, 1, b'o', 0]);
    }

    #[test]
    fn properties_are_structs_in_an_array() {
        let mut body = Body::default();
        body.properties(&[("A".into(), Value::Bool(true)), ("B".into(), Value::Uint64(2))]);
        let expected = [
            &[40, 0, 0, 0, 0, 0, 0, 0][..],
            &[1, 0, 0, 0, b'A', 0, 1, b'b', 0, 0, 0, 0, 1, 0, 0, 0],
            &[1, 0, 0, 0, b'B', 0, 1, b't', 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0],
        ];
        assert_eq!(body.0, expected.concat());
    }

    #[test]
    fn nonsense_is_no_message() {
        assert_eq!(rest(b"HTTP/1.1 400 Bad"), None);
        let mut bytes = call(Body::default(), "");
        bytes[12] = 0xff;
        bytes[15] = 0xff;
        assert_eq!(rest(&bytes[..START]), None);
        for length in 0..bytes.len() {
            let _ = decode(&bytes[..length]);
        }
    }
}
