//! Reads `conformance/spec/fields.txt`: the shape of documents, from which
//! documents are made, and against which they are held.

/// What a value in a document is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Node {
    /// Free text.
    Text,
    Boolean,
    /// From the first to the last.
    Number(i128, i128),
    /// One of these.
    Words(Vec<String>),
    /// Capitals after this beginning.
    Beginning(String),
    Object(Vec<Member>),
    List(Box<Node>),
    /// An object whose keys are free.
    Map(Box<Node>),
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) required: bool,
    pub(crate) node: Node,
}

/// Where a field is, and what it is, as in the table but with all `(a,b)` and
/// `@NAME` spelt out.
pub(crate) type Line = (String, String);

pub(crate) fn lines(table: &str) -> Vec<Line> {
    let rows = || table.lines().filter(|row| !row.starts_with('#') && !row.is_empty());
    let words = |name: &str| {
        let named = rows().filter_map(|row| row.strip_prefix(name)?.strip_prefix(' '));
        named.flat_map(|words| spell_out(words.trim())).collect::<Vec<_>>().join("|")
    };
    let mut lines = Vec::new();
    for row in rows().filter(|row| !row.starts_with('@')) {
        let (path, kind) = row.split_once(' ').expect("a path and a kind");
        let kind = match kind.chars().next() {
            Some('@') => words(kind),
            Some('(') => spell_out(kind).join("|"),
            _ => kind.into(),
        };
        lines.extend(spell_out(path).into_iter().map(|path| (path, kind.clone())));
    }
    lines
}

/// `a(b,c)d(e,f)`: abde, abdf, acde, acdf.
fn spell_out(text: &str) -> Vec<String> {
    let Some((before, rest)) = text.split_once('(') else { return vec![text.into()] };
    let (choice, after) = rest.split_once(')').expect("a closing parenthesis");
    let ends = spell_out(after);
    let with = |middle| ends.iter().map(move |end| format!("{before}{middle}{end}"));
    choice.split(',').flat_map(with).collect()
}

/// The document that the lines beginning with `name` tell of.
pub(crate) fn document(lines: &[Line], name: &str) -> Node {
    let mut document = Node::Object(Vec::new());
    for (path, kind) in lines {
        if let Some(path) = path.strip_prefix(name).and_then(|path| path.strip_prefix('.')) {
            insert(&mut document, path, kind);
        }
    }
    document
}

fn insert(object: &mut Node, path: &str, kind: &str) {
    let (segment, rest) = path.split_once('.').map_or((path, None), |(s, rest)| (s, Some(rest)));
    let required = segment.ends_with('!');
    let segment = segment.trim_end_matches('!');
    let (name, wrap): (_, fn(Box<Node>) -> Node) = match segment {
        _ if segment.ends_with("[]") => (segment.trim_end_matches("[]"), Node::List),
        _ if segment.ends_with("{}") => (segment.trim_end_matches("{}"), Node::Map),
        _ => (segment, |node| *node),
    };
    let Node::Object(members) = object else { panic!("{path}: below what is no object") };
    let Some(rest) = rest else {
        members.push(Member { name: name.into(), required, node: wrap(Box::new(leaf(kind))) });
        return;
    };
    if !members.iter().any(|member| member.name == name) {
        let node = wrap(Box::new(Node::Object(Vec::new())));
        members.push(Member { name: name.into(), required, node });
    }
    let member = members.iter_mut().find(|member| member.name == name).expect("just made");
    match &mut member.node {
        Node::List(item) | Node::Map(item) => insert(item, rest, kind),
        node => insert(node, rest, kind),
    }
}

fn leaf(kind: &str) -> Node {
    match kind {
        "string" => Node::Text,
        "boolean" => Node::Boolean,
        "uint16" => Node::Number(0, u16::MAX.into()),
        "uint32" => Node::Number(0, u32::MAX.into()),
        "uint64" => Node::Number(0, u64::MAX.into()),
        "int32" => Node::Number(i32::MIN.into(), i32::MAX.into()),
        "int64" | "integer" => Node::Number(i64::MIN.into(), i64::MAX.into()),
        _ => match (kind.split_once(".."), kind.strip_suffix('*')) {
            (Some((first, last)), _) => Node::Number(
                first.parse().expect("a number"),
                last.parse().unwrap_or(i64::MAX.into()),
            ),
            (None, Some(beginning)) => Node::Beginning(beginning.into()),
            (None, None) => Node::Words(kind.split('|').map(Into::into).collect()),
        },
    }
}
