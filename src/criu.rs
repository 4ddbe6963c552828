//! pure: the messages of `criu swrk`, which are protocol buffers.
//! <https://criu.org/RPC>, <https://protobuf.dev/programming-guides/encoding/>

/// `criu_req_type`.
pub(crate) mod kind {
    pub(crate) const DUMP: u64 = 1;
    pub(crate) const RESTORE: u64 = 2;
    pub(crate) const PRE_DUMP: u64 = 4;
    pub(crate) const NOTIFY: u64 = 6;
    pub(crate) const FEATURE_CHECK: u64 = 9;
}

/// Numbers of the fields of `criu_opts`.
pub(crate) mod opts {
    pub(crate) const IMAGES_DIR_FD: u32 = 1;
    pub(crate) const PID: u32 = 2;
    pub(crate) const LEAVE_RUNNING: u32 = 3;
    pub(crate) const EXT_UNIX_SK: u32 = 4;
    pub(crate) const TCP_ESTABLISHED: u32 = 5;
    pub(crate) const EVASIVE_DEVICES: u32 = 6;
    pub(crate) const SHELL_JOB: u32 = 7;
    pub(crate) const FILE_LOCKS: u32 = 8;
    pub(crate) const LOG_LEVEL: u32 = 9;
    pub(crate) const LOG_FILE: u32 = 10;
    pub(crate) const PS: u32 = 11;
    pub(crate) const NOTIFY_SCRIPTS: u32 = 12;
    pub(crate) const ROOT: u32 = 13;
    pub(crate) const PARENT_IMG: u32 = 14;
    pub(crate) const TRACK_MEM: u32 = 15;
    pub(crate) const AUTO_DEDUP: u32 = 16;
    pub(crate) const WORK_DIR_FD: u32 = 17;
    pub(crate) const LINK_REMAP: u32 = 18;
    pub(crate) const EXT_MNT: u32 = 23;
    pub(crate) const CG_ROOT: u32 = 25;
    pub(crate) const RST_SIBLING: u32 = 26;
    pub(crate) const INHERIT_FD: u32 = 27;
    pub(crate) const MANAGE_CGROUPS_MODE: u32 = 34;
    pub(crate) const EXTERNAL: u32 = 37;
    pub(crate) const EMPTY_NS: u32 = 38;
    pub(crate) const JOIN_NS: u32 = 39;
    pub(crate) const FREEZE_CGROUP: u32 = 44;
    pub(crate) const TCP_SKIP_IN_FLIGHT: u32 = 46;
    pub(crate) const LAZY_PAGES: u32 = 48;
    pub(crate) const ORPHAN_PTS_MASTER: u32 = 50;
    pub(crate) const CONFIG_FILE: u32 = 51;
    pub(crate) const LSM_PROFILE: u32 = 53;
    pub(crate) const LSM_MOUNT_CONTEXT: u32 = 63;
}

/// A message that is being written.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push(number.to_le_bytes()[0] | 0x80);
            number >>= 7;
        }
        self.0.push(number.to_le_bytes()[0]);
    }

    /// A number, a truth value (0 or 1) or a word of an enumeration.
    pub(crate) fn number(&mut self, field: u32, value: u64) {
        self.varint(u64::from(field) << 3);
        self.varint(value);
    }

    /// A descriptor or a pid.
    pub(crate) fn int32(&mut self, field: u32, value: i32) {
        self.number(field, i64::from(value).cast_unsigned());
    }

    /// A text, or a message within this one.
    pub(crate) fn bytes(&mut self, field: u32, value: &[u8]) {
        self.varint(u64::from(field) << 3 | 2);
        self.varint(value.len() as u64);
        self.0.extend_from_slice(value);
    }

    /// A message of two texts, its fields 1 and 2.
    pub(crate) fn pair(&mut self, field: u32, one: &str, two: &str) {
        let mut pair = Self::default();
        pair.bytes(1, one.as_bytes());
        pair.bytes(2, two.as_bytes());
        self.bytes(field, &pair.0);
    }

    /// A message of a text and a number, its fields 1 and 2.
    pub(crate) fn numbered(&mut self, field: u32, text: &str, number: i32) {
        let mut pair = Self::default();
        pair.bytes(1, text.as_bytes());
        pair.int32(2, number);
        self.bytes(field, &pair.0);
    }

    /// Adds the fields of another.
    pub(crate) fn append(&mut self, other: &Self) {
        self.0.extend_from_slice(&other.0);
    }

    /// As it is sent.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// `criu_req`: do `kind` with `opts`.
pub(crate) fn request(kind: u64, opts: &Message) -> Message {
    let mut request = Message::default();
    request.number(1, kind);
    request.bytes(2, &opts.0);
    request
}

/// `criu_req`: goes on after a notification, or gives up.
pub(crate) fn notified(success: bool) -> Message {
    let mut request = Message::default();
    request.number(1, kind::NOTIFY);
    request.number(3, u64::from(success));
    request
}

/// `criu_req`: can criu and the kernel do the feature with this number?
pub(crate) fn feature_check(feature: u32) -> Message {
    let mut features = Message::default();
    features.number(feature, 1);
    let mut request = Message::default();
    request.number(1, kind::FEATURE_CHECK);
    request.bytes(5, &features.0);
    request
}

/// `criu_features`: memory can be tracked.
pub(crate) const MEM_TRACK: u32 = 1;
/// `criu_features`: memory can follow later.
pub(crate) const LAZY_PAGES: u32 = 2;

/// `criu_resp`, as far as it is of interest.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Response<'m> {
    pub(crate) kind: u64,
    pub(crate) success: bool,
    /// `cr_errno`: what went wrong, or 0.
    pub(crate) errno: u64,
    /// `notify.script`: what is about to happen.
    pub(crate) script: &'m [u8],
    /// `notify.pid`: the restored init.
    pub(crate) pid: Option<i32>,
    features: &'m [u8],
}

impl<'m> Response<'m> {
    /// Reads one; what is missing is 0, or empty.
    pub(crate) fn parse(message: &'m [u8]) -> Self {
        let number = |field| find(message, field).map_or(0, |value| value.number);
        let bytes = |field| find(message, field).map_or(&[][..], |value| value.bytes);
        let notify = bytes(5);
        Self {
            kind: number(1),
            success: number(2) == 1,
            errno: number(7),
            script: find(notify, 1).map_or(&[], |value| value.bytes),
            pid: find(notify, 2).and_then(|value| i32::try_from(value.number).ok()),
            features: bytes(8),
        }
    }

    /// The answer to [`feature_check`].
    pub(crate) fn has(&self, feature: u32) -> bool {
        find(self.features, feature).is_some_and(|value| value.number == 1)
    }
}

/// One or the other, by the type that its field has.
#[derive(Clone, Copy)]
struct Value<'m> {
    number: u64,
    bytes: &'m [u8],
}

/// The last value of a field; none if the message is broken before it.
fn find(mut rest: &[u8], wanted: u32) -> Option<Value<'_>> {
    let mut found = None;
    while !rest.is_empty() {
        let key = varint(&mut rest)?;
        let mut value = Value { number: 0, bytes: &[] };
        match key & 7 {
            0 => value.number = varint(&mut rest)?,
            2 => {
                let length = usize::try_from(varint(&mut rest)?).ok()?;
                (value.bytes, rest) = rest.split_at_checked(length)?;
            }
            _ => return found,
        }
        if key >> 3 == u64::from(wanted) {
            found = Some(value);
        }
    }
    found
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, after) = rest.split_first()?;
        *rest = after;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of the encoding's documentation: field 1 is 150, field 2
    /// `testing`, field 3 a message whose field 1 is 150; and -2 as an int32.
    #[test]
    fn fields_are_written_as_documented() {
        let mut inner = Message::default();
        inner.number(1, 150);
        assert_eq!(inner.as_bytes(), [0x08, 0x96, 0x01]);
        let mut message = Message::default();
        message.bytes(2, b"testing");
        assert_eq!(message.as_bytes(), [0x12, 7, 0x74, 0x65, 0x73, 0x74, 0x69, 0x6e, 0x67]);
        let mut message = Message::default();
        message.bytes(3, inner.as_bytes());
        assert_eq!(message.as_bytes(), [0x1a, 3, 0x08, 0x96, 0x01]);
        let mut message = Message::default();
        message.int32(1, -2);
        let minus_two = [8, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
        assert_eq!(message.as_bytes(), minus_two);
    }

    #[test]
    fn a_notification_is_read() {
        let mut notify = Message::default();
        notify.bytes(1, b"post-restore");
        notify.int32(2, 4711);
        let mut message = Message::default();
        message.number(1, kind::NOTIFY);
        message.number(2, 1);
        message.bytes(5, notify.as_bytes());
        let response = Response::parse(message.as_bytes());
        assert_eq!((response.kind, response.success), (kind::NOTIFY, true));
        assert_eq!((response.script, response.pid), (&b"post-restore"[..], Some(4711)));
    }

    #[test]
    fn what_is_cut_off_is_missing() {
        let mut message = Message::default();
        message.number(2, 1);
        message.bytes(8, &[8, 1]);
        let whole = message.as_bytes();
        assert!(Response::parse(whole).has(MEM_TRACK));
        assert!(!Response::parse(whole).has(LAZY_PAGES));
        for end in 0..whole.len() {
            assert!(!Response::parse(&whole[..end]).has(MEM_TRACK), "{end}");
        }
    }
}
