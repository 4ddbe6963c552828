//! Messages of `rtnetlink(7)`, as bytes: pure.

/// `RTM_*`, `linux/rtnetlink.h`.
const RTM_NEWLINK: u16 = 16;
const RTM_NEWADDR: u16 = 20;
const RTM_GETADDR: u16 = 22;
/// `NLMSG_*` and `NLM_F_*`, `linux/netlink.h`.
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const REQUEST: u16 = 0x1;
const ACK: u16 = 0x4;
const DUMP: u16 = 0x300;
const CREATE_EXCL: u16 = 0x600;
/// `IFLA_*`, `linux/if_link.h`.
const IFLA_IFNAME: u16 = 3;
const IFLA_NET_NS_FD: u16 = 28;
/// `IFA_*`, `linux/if_addr.h`.
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_BROADCAST: u16 = 4;
const IFA_FLAGS: u16 = 8;
const IFA_F_PERMANENT: u32 = 0x80;
const RT_SCOPE_UNIVERSE: u8 = 0;
const IFF_UP: u32 = 1;

const HEADER: usize = 16;

/// An address that is to be given to an interface again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    family: u8,
    prefix: u8,
    /// `IFA_LOCAL`, `IFA_ADDRESS` and `IFA_BROADCAST`, as they were.
    attributes: Vec<(u16, Vec<u8>)>,
}

/// What came of a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// There is more to read.
    More,
    /// All was read, or done.
    Done,
    /// Refused, with an errno.
    Refused(i32),
}

struct Message(Vec<u8>);

impl Message {
    fn new(kind: u16, flags: u16) -> Self {
        let mut bytes = vec![0; HEADER];
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes[6..8].copy_from_slice(&(REQUEST | flags).to_ne_bytes());
        bytes[8..12].copy_from_slice(&1u32.to_ne_bytes());
        Self(bytes)
    }

    /// `struct ifinfomsg`.
    fn interface(mut self, index: u32, flags: u32, change: u32) -> Self {
        self.0.extend([0; 4]);
        for word in [index, flags, change] {
            self.0.extend(word.to_ne_bytes());
        }
        self
    }

    fn attribute(mut self, kind: u16, value: &[u8]) -> Self {
        let len = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
        self.0.extend(len.to_ne_bytes());
        self.0.extend(kind.to_ne_bytes());
        self.0.extend(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }

    fn finish(mut self) -> Vec<u8> {
        let len = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        self.0[..4].copy_from_slice(&len.to_ne_bytes());
        self.0
    }
}

/// Sets interface `index` up or down.
pub(crate) fn set_up(index: u32, up: bool) -> Vec<u8> {
    let flags = if up { IFF_UP } else { 0 };
    Message::new(RTM_NEWLINK, ACK).interface(index, flags, IFF_UP).finish()
}

/// Moves interface `index` into the network namespace behind the descriptor
/// `namespace`, and renames it in the same operation.
pub(crate) fn move_to(index: u32, namespace: i32, name: &str) -> Vec<u8> {
    let name = [name.as_bytes(), b"\0"].concat();
    Message::new(RTM_NEWLINK, ACK)
        .interface(index, 0, 0)
        .attribute(IFLA_IFNAME, &name)
        .attribute(IFLA_NET_NS_FD, &namespace.to_ne_bytes())
        .finish()
}

/// Asks for all addresses of all interfaces.
pub(crate) fn list_addresses() -> Vec<u8> {
    let mut message = Message::new(RTM_GETADDR, DUMP);
    message.0.extend([0; 8]);
    message.finish()
}

/// Gives `address` to interface `index`.
pub(crate) fn add_address(index: u32, address: &Address) -> Vec<u8> {
    let mut message = Message::new(RTM_NEWADDR, ACK | CREATE_EXCL);
    message.0.extend([address.family, address.prefix, 0, RT_SCOPE_UNIVERSE]);
    message.0.extend(index.to_ne_bytes());
    let attributes = address.attributes.iter();
    attributes.fold(message, |message, (kind, value)| message.attribute(*kind, value)).finish()
}

/// Reads what the kernel has sent. The permanent global addresses of interface
/// `index` that it tells of go into `addresses`.
pub(crate) fn read(mut bytes: &[u8], index: u32, addresses: &mut Vec<Address>) -> Answer {
    while bytes.len() >= HEADER {
        let len = usize::try_from(word(bytes, 0)).unwrap_or(usize::MAX);
        let Some(message) = bytes.get(HEADER..len) else { break };
        match half(bytes, 4) {
            NLMSG_DONE => return Answer::Done,
            NLMSG_ERROR => {
                return match word(message, 0).cast_signed() {
                    0 => Answer::Done,
                    errno => Answer::Refused(-errno),
                };
            }
            RTM_NEWADDR => addresses.extend(address(message, index)),
            _ => {}
        }
        bytes = bytes.get(len.next_multiple_of(4)..).unwrap_or_default();
    }
    Answer::More
}

/// `struct ifaddrmsg` and its attributes.
fn address(message: &[u8], index: u32) -> Option<Address> {
    let &[family, prefix, flags, scope] = message.first_chunk()?;
    let mut flags = u32::from(flags);
    let mut found = Address { family, prefix, attributes: Vec::new() };
    let mut rest = message.get(8..)?;
    while rest.len() >= 4 {
        let len = usize::from(half(rest, 0));
        let value = rest.get(4..len)?;
        match half(rest, 2) {
            IFA_FLAGS => flags = word(value, 0),
            kind @ (IFA_ADDRESS | IFA_LOCAL | IFA_BROADCAST) => {
                found.attributes.push((kind, value.to_vec()));
            }
            _ => {}
        }
        rest = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
    }
    let wanted =
        word(message, 4) == index && flags & IFA_F_PERMANENT != 0 && scope == RT_SCOPE_UNIVERSE;
    wanted.then_some(found)
}

fn word(bytes: &[u8], at: usize) -> u32 {
    let word = bytes.get(at..).and_then(|rest| rest.first_chunk());
    word.map_or(0, |word| u32::from_ne_bytes(*word))
}

fn half(bytes: &[u8], at: usize) -> u16 {
    let half = bytes.get(at..).and_then(|rest| rest.first_chunk());
    half.map_or(0, |half| u16::from_ne_bytes(*half))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(index: u32, flags: u8, scope: u8) -> Vec<u8> {
        let mut message = Message::new(RTM_NEWADDR, 0);
        message.0.extend([2, 24, flags, scope]);
        message.0.extend(index.to_ne_bytes());
        message.attribute(IFA_LOCAL, &[10, 0, 0, 1]).attribute(3, b"eth0\0").finish()
    }

    #[test]
    fn permanent_global_addresses_of_the_interface_are_kept() {
        let mut addresses = Vec::new();
        let bytes =
            [told(7, 0x80, 0), told(8, 0x80, 0), told(7, 0, 0), told(7, 0x80, 253)].concat();
        assert_eq!(read(&bytes, 7, &mut addresses), Answer::More);
        let kept =
            Address { family: 2, prefix: 24, attributes: vec![(IFA_LOCAL, vec![10, 0, 0, 1])] };
        assert_eq!(addresses, [kept]);
        let again = add_address(9, &addresses[0]);
        let mut read_again = Vec::new();
        // As the kernel would tell it, with the flag that it adds.
        let mut as_told = again.clone();
        as_told[HEADER + 2] = 0x80;
        read(&as_told, 9, &mut read_again);
        assert_eq!(read_again, addresses);
    }

    #[test]
    fn a_message_has_its_length_and_whole_words() {
        let message = move_to(3, 5, "eth0");
        assert_eq!(word(&message, 0) as usize, message.len());
        assert_eq!(message.len(), 16 + 16 + 12 + 8);
        assert_eq!(&message[36..41], b"eth0\0");
    }

    #[test]
    fn broken_answers_are_no_danger() {
        for bytes in [&[0u8; 3][..], &[0xff; 40], &[0; 40]] {
            assert_eq!(read(&bytes[..bytes.len().min(15)], 0, &mut Vec::new()), Answer::More);
        }
        let mut cut = told(7, 0x80, 0);
        let half = u16::try_from(cut.len()).unwrap();
        cut[HEADER + 8..HEADER + 10].copy_from_slice(&half.to_ne_bytes());
        let mut addresses = Vec::new();
        read(&cut, 7, &mut addresses);
        assert!(addresses.is_empty());
    }

    #[test]
    fn a_refusal_has_its_errno() {
        let mut message = Message::new(NLMSG_ERROR, 0);
        message.0.extend((-17i32).to_ne_bytes());
        assert_eq!(read(&message.finish(), 0, &mut Vec::new()), Answer::Refused(17));
    }
}
