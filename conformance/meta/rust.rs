//! Just enough of a reader of Rust: words, and paths that are used.

use std::path::Path;

/// `sys::mount` for `sys/mount.rs`, `sys` for `sys/mod.rs`.
pub(crate) fn module(file: &Path) -> String {
    let path = file.with_extension("").to_string_lossy().replace('/', "::");
    path.strip_suffix("::mod").unwrap_or(&path).to_owned()
}

/// Whether `path` is `beginning` or below it.
pub(crate) fn within(path: &str, beginning: &str) -> bool {
    path.strip_prefix(beginning).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// The identifiers of a source, without those in comments and literals.
pub(crate) fn words(source: &str) -> Vec<String> {
    tokens(source).into_iter().filter(|token| token.starts_with(is_word)).collect()
}

pub(crate) struct Paths {
    /// Without the `crate::`.
    pub(crate) crate_paths: Vec<String>,
    pub(crate) other_paths: Vec<String>,
}

/// The paths that `source`, the text of `module`, uses outside of its tests.
pub(crate) fn paths(module: &str, source: &str) -> Paths {
    let source = source.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    let source = source.split("#[cfg(test)] mod tests").next().unwrap_or_default();
    let tokens = tokens(source);
    let mut paths = Paths { crate_paths: Vec::new(), other_paths: Vec::new() };
    let mut at = 0;
    while at < tokens.len() {
        let starts =
            tokens[at].starts_with(is_word) && tokens.get(at + 1).is_some_and(|next| next == "::");
        if !starts {
            at += 1;
            continue;
        }
        let mut found = Vec::new();
        at = tree(&tokens, at, "", &mut found);
        for path in found {
            match absolute(module, &path) {
                Some(path) => paths.crate_paths.push(path),
                None => paths.other_paths.push(path),
            }
        }
    }
    paths
}

/// `path` from the root of the crate, if it is in the crate.
fn absolute(module: &str, path: &str) -> Option<String> {
    if let Some(path) = path.strip_prefix("crate::") {
        return Some(path.into());
    }
    let mut parents: Vec<&str> = module.split("::").collect();
    let mut rest = path;
    while let Some(after) = rest.strip_prefix("super::") {
        parents.pop();
        rest = after;
    }
    (rest.len() < path.len())
        .then(|| parents.into_iter().chain([rest]).collect::<Vec<_>>().join("::"))
}

/// Reads `a::b::{c, d::e}` from `at` on; returns where it ends.
fn tree(tokens: &[String], mut at: usize, before: &str, found: &mut Vec<String>) -> usize {
    let mut path = before.to_owned();
    loop {
        match tokens.get(at).map(String::as_str) {
            Some("{") => return branches(tokens, at + 1, &path, found),
            Some(word) if word.starts_with(is_word) || word == "*" => path.push_str(word),
            _ => {}
        }
        if tokens.get(at + 1).is_none_or(|next| next != "::") {
            found.push(path);
            return at + 1;
        }
        path.push_str("::");
        at += 2;
    }
}

fn branches(tokens: &[String], mut at: usize, before: &str, found: &mut Vec<String>) -> usize {
    while let Some(token) = tokens.get(at) {
        match token.as_str() {
            "}" => return at + 1,
            "," => at += 1,
            "as" => at += 2,
            _ => at = tree(tokens, at, before, found),
        }
    }
    at
}

fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

/// Words, `::`, and single signs.
fn tokens(source: &str) -> Vec<String> {
    let mut tokens: Vec<String> = Vec::new();
    let mut rest = source;
    while let Some(letter) = rest.chars().next() {
        let length = if let Some(length) = skipped(rest) {
            length
        } else if is_word(letter) {
            let length = rest.find(|letter| !is_word(letter)).unwrap_or(rest.len());
            tokens.push(rest[..length].into());
            length
        } else {
            let length = if rest.starts_with("::") { 2 } else { letter.len_utf8() };
            if !letter.is_whitespace() {
                tokens.push(rest[..length].into());
            }
            length
        };
        rest = &rest[length..];
    }
    tokens
}

/// The length of the comment or literal that `text` begins with.
fn skipped(text: &str) -> Option<usize> {
    if text.starts_with("//") {
        return Some(text.find('\n').unwrap_or(text.len()));
    }
    if text.starts_with("/*") {
        return Some(comment(text));
    }
    let prefix =
        text.find(|letter| !matches!(letter, 'b' | 'c' | 'r')).filter(|&length| length <= 2)?;
    let literal = &text[prefix..];
    if text[..prefix].ends_with('r') {
        let hashes = literal.find(|letter| letter != '#')?;
        let end = format!("\"{}", &literal[..hashes]);
        let body = literal[hashes..].strip_prefix('"')?;
        return Some(prefix + hashes + 1 + body.find(&end)? + end.len());
    }
    match literal.chars().next()? {
        '"' => Some(prefix + quoted(literal, '"')?),
        '\'' if literal[1..].starts_with('\\') => Some(prefix + quoted(literal, '\'')?),
        '\'' => {
            let letter = literal[1..].chars().next()?;
            literal[1 + letter.len_utf8()..]
                .starts_with('\'')
                .then_some(prefix + 2 + letter.len_utf8())
        }
        _ => None,
    }
}

/// The length of a block comment, which may hold others.
fn comment(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        let (step, change) = match &text.as_bytes()[at..] {
            [b'/', b'*', ..] => (2, 1),
            [b'*', b'/', ..] => (2, -1),
            _ => (1, 0),
        };
        depth += change;
        at += step;
        if depth == 0 {
            break;
        }
    }
    at
}

/// The length of a literal with escapes.
fn quoted(text: &str, quote: char) -> Option<usize> {
    let mut escaped = true;
    for (at, letter) in text.char_indices() {
        if letter == quote && !escaped {
            return Some(at + 1);
        }
        escaped = letter == '\\' && !escaped;
    }
    None
}
