//! The argument checks of one system call.
//!
//! seccompiler turns the conditions of a rule into instructions. Put one after
//! the other they load and compare the same words again and again; so the
//! whole is taken as a graph, in which every jump goes on to the first test
//! whose outcome is not known from the tests before it.

use seccompiler::{
    BpfProgram, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompRule, sock_filter,
};

use super::action::{Action, Operator};
use super::bpf::{AND, ARGS_AT, IF_EQ, IF_GE, IF_GT, JUMP, LOAD};
use super::emit::{Emitter, Target};
use super::known::Known;
use super::policy::Condition;

/// How the words of an argument are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Words {
    /// Both words, or the low one alone.
    pub(super) both: bool,
    /// The low word comes second.
    pub(super) big_endian: bool,
}

/// Conditions that must all hold, and the answer when they do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Alternative {
    pub(super) conditions: Vec<Condition>,
    pub(super) action: Action,
}

/// Where a node goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Node(usize),
    Return(Action),
}

#[derive(Clone, Copy, Debug)]
enum Node {
    /// Loads a word of the arguments, then the next node.
    Load(usize),
    /// Masks the word that is loaded, then the next node.
    And(u32),
    /// Compares it.
    Test { code: u16, k: u32, yes: Next, no: Next },
}

/// Emits the checks: the first of `alternatives` that holds gives the answer,
/// `otherwise` where none does.
pub(super) fn emit(
    emitter: &mut Emitter,
    alternatives: &[Alternative],
    words: Words,
    otherwise: Action,
) -> Result<Target, String> {
    let mut nodes = Vec::new();
    for alternative in &ordered(alternatives) {
        append(&mut nodes, alternative, words)?;
    }
    let end = nodes.len();
    for node in &mut nodes {
        if let Node::Test { yes, no, .. } = node {
            for next in [yes, no] {
                if *next == Next::Node(end) {
                    *next = Next::Return(otherwise);
                }
            }
        }
    }
    let live = shorten(&mut nodes);
    Ok(write(emitter, &nodes, &live))
}

/// The alternatives in an order in which neighbours begin with the same tests,
/// as far as that makes no difference: those with one answer can change places.
fn ordered(alternatives: &[Alternative]) -> Vec<Alternative> {
    let mut all = alternatives.to_vec();
    for alternative in &mut all {
        alternative.conditions.sort_by_key(|condition| condition.index);
    }
    for same in all.chunk_by_mut(|a, b| a.action == b.action) {
        same.sort_by(|a, b| a.conditions.cmp(&b.conditions));
    }
    all.dedup();
    all
}

/// Appends an alternative; it goes on to the node after its last where it does
/// not hold.
fn append(nodes: &mut Vec<Node>, what: &Alternative, words: Words) -> Result<(), String> {
    // seccompiler tests the last one first.
    let conditions = what.conditions.iter().rev().map(|condition| convert(*condition, words));
    let rule = conditions.collect::<Result<_, _>>().and_then(SeccompRule::new);
    let code = BpfProgram::from(rule.map_err(|e| e.to_string())?);
    // It starts with two jumps for a caller that jumps into the middle.
    let code = code.get(2..).unwrap_or_default();
    let start = nodes.len();
    for (i, insn) in code.iter().enumerate() {
        // One past the end is where a rule holds, two where it does not.
        let next = |skip: usize| match i + 1 + skip {
            at if at == code.len() => Next::Return(what.action),
            at => Next::Node(start + at.min(code.len())),
        };
        nodes.push(node(insn, words, next)?);
    }
    Ok(())
}

fn node(insn: &sock_filter, words: Words, next: impl Fn(usize) -> Next) -> Result<Node, String> {
    let far = usize::try_from(insn.k).unwrap_or(usize::MAX);
    match insn.code {
        LOAD => {
            // seccompiler takes the host for little-endian.
            let word = far.saturating_sub(ARGS_AT as usize) / 4;
            Ok(Node::Load(word ^ usize::from(words.big_endian)))
        }
        AND => Ok(Node::And(insn.k)),
        JUMP => Ok(Node::Test { code: IF_EQ, k: 0, yes: next(far), no: next(far) }),
        IF_EQ | IF_GT | IF_GE => {
            let (yes, no) = (next(insn.jt.into()), next(insn.jf.into()));
            Ok(Node::Test { code: insn.code, k: insn.k, yes, no })
        }
        code => Err(format!("argument checks use the unknown instruction {code:#x}")),
    }
}

fn convert(
    condition: Condition,
    words: Words,
) -> Result<SeccompCondition, seccompiler::BackendError> {
    let value = condition.value;
    let (operator, value) = match condition.operator {
        Operator::Ne => (SeccompCmpOp::Ne, value),
        Operator::Lt => (SeccompCmpOp::Lt, value),
        Operator::Le => (SeccompCmpOp::Le, value),
        Operator::Eq => (SeccompCmpOp::Eq, value),
        Operator::Ge => (SeccompCmpOp::Ge, value),
        Operator::Gt => (SeccompCmpOp::Gt, value),
        Operator::MaskedEq => (SeccompCmpOp::MaskedEq(value), condition.value_two),
    };
    let len = if words.both { SeccompCmpArgLen::Qword } else { SeccompCmpArgLen::Dword };
    SeccompCondition::new(condition.index, len, operator, value)
}

/// Lets every jump go past the tests whose outcome is known, and tells which
/// nodes are still reached.
fn shorten(nodes: &mut [Node]) -> Vec<bool> {
    let mut known: Vec<Option<Known>> = vec![None; nodes.len() + 1];
    known[0] = Some(Known::default());
    for i in 0..nodes.len() {
        let Some(here) = known[i].clone() else { continue };
        match nodes[i] {
            Node::Load(word) => meet(&mut known[i + 1], here.load(word)),
            Node::And(mask) => meet(&mut known[i + 1], here.mask(mask)),
            Node::Test { code, k, yes, no } => {
                let mut ways = [None, None];
                for ((way, next), holds) in ways.iter_mut().zip([yes, no]).zip([true, false]) {
                    let Some(then) = here.given(code, k, holds) else { continue };
                    let next = skip(nodes, &then, next);
                    if let Next::Node(at) = next {
                        meet(&mut known[at], then);
                    }
                    *way = Some(next);
                }
                // A way that cannot be taken is as good as the other one.
                let [yes, no] =
                    [ways[0].or(ways[1]).unwrap_or(yes), ways[1].or(ways[0]).unwrap_or(no)];
                nodes[i] = Node::Test { code, k, yes, no };
            }
        }
    }
    known.iter().map(Option::is_some).collect()
}

fn meet(known: &mut Option<Known>, more: Known) {
    *known = Some(match known.take() {
        Some(known) => known.meet(&more),
        None => more,
    });
}

/// How many nodes a jump may go past. More are worth nothing, and a profile of
/// many thousand rules should not take minutes to be found too long.
const MOST_SKIPPED: usize = 1 << 14;

/// Where to go on instead of `next`, with `known` at hand.
fn skip(nodes: &[Node], known: &Known, next: Next) -> Next {
    let mut best = next;
    let mut then = known.clone();
    let mut at = next;
    for _ in 0..MOST_SKIPPED {
        let Next::Node(i) = at else { break };
        let Some(node) = nodes.get(i) else { break };
        match *node {
            Node::Load(word) => (then, at) = (then.load(word), Next::Node(i + 1)),
            Node::And(mask) => (then, at) = (then.mask(mask), Next::Node(i + 1)),
            Node::Test { code, k, yes, no } => match then.decides(code, k) {
                Some(true) => at = yes,
                Some(false) => at = no,
                None => break,
            },
        }
        // What is loaded at the jump must be what the new place counts on.
        let loads = matches!(at, Next::Node(i) if matches!(nodes.get(i), Some(Node::Load(_))));
        if matches!(at, Next::Return(_)) || loads || then.loaded() == known.loaded() {
            best = at;
        }
    }
    best
}

fn write(emitter: &mut Emitter, nodes: &[Node], live: &[bool]) -> Target {
    let mut targets = vec![Target::Return(Action::KILL_PROCESS); nodes.len() + 1];
    let target = |targets: &[Target], next| match next {
        Next::Node(i) => targets[i],
        Next::Return(action) => Target::Return(action),
    };
    for (i, node) in nodes.iter().enumerate().rev().filter(|(i, _)| live[*i]) {
        targets[i] = match *node {
            Node::Load(word) => {
                let offset = u32::try_from(word).map_or(ARGS_AT, |word| ARGS_AT + 4 * word);
                emitter.shared(LOAD, offset, targets[i + 1], targets[i + 1])
            }
            Node::And(mask) => emitter.shared(AND, mask, targets[i + 1], targets[i + 1]),
            Node::Test { code, k, yes, no } => {
                emitter.shared(code, k, target(&targets, yes), target(&targets, no))
            }
        };
    }
    targets[0]
}
