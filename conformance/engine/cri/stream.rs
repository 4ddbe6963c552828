//! `exec` and `attach` with streams: a websocket to containerd's streaming
//! server, on which the first byte of a message says the stream (0 to 2, and 3
//! for how it has ended, 4 for the size of the terminal).
//! <https://www.rfc-editor.org/rfc/rfc6455>,
//! <https://github.com/kubernetes/kubernetes/blob/v1.26.0/staging/src/k8s.io/apiserver/pkg/util/wsstream/conn.go>

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use super::protobuf::Message;
use super::{call, id_only};

const PATIENCE: Duration = Duration::from_secs(20);

pub(super) struct Stream {
    connection: BufReader<TcpStream>,
    /// What has come by the streams so far: 0 to 3.
    pub(super) said: [String; 4],
}

/// `exec -i`, and with a terminal `-it`.
#[track_caller]
pub(super) fn exec(container: &str, command: &[&str], terminal: bool) -> Stream {
    let request = id_only(container).texts(2, command).number(3, terminal.into()).number(4, 1);
    // A terminal has no stderr of its own.
    Stream::open("Exec", &request.number(5, 1).number(6, (!terminal).into()))
}

/// To a container with a terminal.
#[track_caller]
pub(super) fn attach(container: &str) -> Stream {
    Stream::open("Attach", &id_only(container).number(2, 1).number(3, 1).number(4, 1))
}

impl Stream {
    #[track_caller]
    fn open(method: &str, request: &Message) -> Self {
        let url = call(method, request).text(1);
        let (host, path) =
            url.strip_prefix("http://").and_then(|url| url.split_once('/')).expect("a URL");
        let mut connection = TcpStream::connect(host).expect("a connection");
        connection.set_read_timeout(Some(PATIENCE)).expect("a limit");
        let head = format!(
            "GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nOrigin: http://{host}\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\
             Sec-WebSocket-Protocol: v4.channel.k8s.io\r\n\r\n"
        );
        connection.write_all(head.as_bytes()).expect("send the request");
        let mut connection = BufReader::new(connection);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert_ne!(connection.read_line(&mut head).expect("an answer"), 0, "{head}");
        }
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        Self { connection, said: Default::default() }
    }

    pub(super) fn types(&mut self, text: &str) {
        self.send(0, text);
    }

    pub(super) fn resize(&mut self, rows: u16, columns: u16) {
        self.send(4, &format!(r#"{{"Width":{columns},"Height":{rows}}}"#));
    }

    fn send(&mut self, channel: u8, text: &str) {
        let length = u8::try_from(text.len() + 1).ok().filter(|length| *length < 126);
        // The last frame, binary, masked by nothing.
        let mut frame = vec![0x82, 0x80 | length.expect("a short text"), 0, 0, 0, 0, channel];
        frame.extend_from_slice(text.as_bytes());
        self.connection.get_mut().write_all(&frame).expect("send");
    }

    /// Takes the next message; false at the end.
    #[track_caller]
    fn next(&mut self) -> bool {
        let mut head = [0; 2];
        if self.connection.read_exact(&mut head).is_err() || head[0] & 15 == 8 {
            return false;
        }
        let mut long = [0; 8];
        let bytes = match head[1] {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        self.connection.read_exact(&mut long[8 - bytes..]).expect("a length");
        let length = if bytes == 0 { u64::from(head[1]) } else { u64::from_be_bytes(long) };
        let mut message = vec![0; usize::try_from(length).expect("a length")];
        self.connection.read_exact(&mut message).expect("a message");
        if let Some((channel, text)) = message.split_first() {
            self.said[usize::from(*channel)] += &String::from_utf8_lossy(text);
        }
        true
    }

    /// Waits for it on this stream.
    #[track_caller]
    pub(super) fn until(&mut self, channel: usize, text: &str) {
        while !self.said[channel].contains(text) {
            assert!(self.next(), "no {text:?}: {:?}", self.said);
        }
    }

    /// The exit code, once it has ended.
    #[track_caller]
    pub(super) fn ends(&mut self) -> i64 {
        while self.next() {}
        let status: serde_json::Value =
            serde_json::from_str(&self.said[3]).unwrap_or_else(|_| panic!("{:?}", self.said));
        if status["status"] == "Success" {
            return 0;
        }
        let code = status["details"]["causes"][0]["message"].as_str();
        code.and_then(|code| code.parse().ok()).unwrap_or_else(|| panic!("{status}"))
    }
}
