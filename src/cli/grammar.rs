//! What a command line is made of: the types of the table in `table.rs`.

/// A command, its flags and its arguments.
#[derive(Debug)]
pub(crate) struct Command {
    pub(crate) name: &'static str,
    /// One line, for lists of commands.
    pub(crate) about: &'static str,
    /// Paragraphs for its own help and man page, with `\n\n` between them.
    pub(crate) text: &'static str,
    /// Command lines that show its use, with what they do.
    pub(crate) examples: &'static [(&'static str, &'static str)],
    pub(crate) flags: &'static [Flag],
    pub(crate) args: &'static [Arg],
    /// Flags end at the first argument: what follows belongs to somebody else.
    pub(crate) ends_at_argument: bool,
    pub(crate) group: Group,
}

/// A command that the table's rows fill in.
pub(crate) const BLANK: Command = Command {
    name: "",
    about: "",
    text: "",
    examples: &[],
    flags: &[],
    args: &[],
    ends_at_argument: false,
    group: Group::Minke,
};

/// Under which heading the help lists a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Group {
    Lifecycle,
    Running,
    Checkpoint,
    Minke,
}

impl Group {
    pub(crate) const ALL: [Self; 4] =
        [Self::Lifecycle, Self::Running, Self::Checkpoint, Self::Minke];

    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Lifecycle => "A container's life",
            Self::Running => "While it runs",
            Self::Checkpoint => "Checkpoints",
            Self::Minke => "About bundles and minke",
        }
    }
}

/// One flag, written `--long` or `-long`, and `-s` if it has a short name.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Flag {
    pub(crate) long: &'static str,
    pub(crate) short: Option<char>,
    pub(crate) kind: Kind,
    pub(crate) help: &'static str,
    /// Taken, but not shown: it does nothing, or is there for old callers.
    pub(crate) hidden: bool,
}

/// What follows a flag; the first text is the name of the value in the help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Nothing, or `=true` and `=false`.
    Switch,
    /// UTF-8 text.
    Text(&'static str),
    /// A whole number, with a sign or without.
    Number(&'static str),
    /// A file; any bytes.
    File(&'static str),
    /// A directory; any bytes.
    Dir(&'static str),
    /// One of a few words; whether it is one is judged where it is used.
    Word(&'static str, &'static [&'static str]),
    /// UTF-8 text; the flag may be repeated. Commas mean nothing.
    List(&'static str),
}

impl Kind {
    /// The name of the value in the help; none for a switch.
    pub(crate) fn value_name(self) -> Option<&'static str> {
        match self {
            Self::Switch => None,
            Self::Text(name)
            | Self::Number(name)
            | Self::File(name)
            | Self::Dir(name)
            | Self::Word(name, _)
            | Self::List(name) => Some(name),
        }
    }
}

/// An argument that is not a flag.
#[derive(Debug)]
pub(crate) struct Arg {
    pub(crate) name: &'static str,
    pub(crate) what: What,
    pub(crate) required: bool,
    /// Any number of them, up to the end of the line.
    pub(crate) repeated: bool,
}

/// What an argument names, for completion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    /// A container that exists.
    Container,
    /// Free text.
    Free,
    /// A directory.
    Dir,
    /// One of minke's commands.
    Command,
    /// One of these words.
    Word(&'static [&'static str]),
}

impl Command {
    /// The flag called `name`, which may be its long or its short name.
    pub(crate) fn find_flag(flags: &'static [Flag], name: &str) -> Option<&'static Flag> {
        flags.iter().find(|flag| flag.answers_to(name))
    }

    /// Fewest and most arguments.
    pub(crate) fn arity(&self) -> (usize, Option<usize>) {
        let least = self.args.iter().filter(|arg| arg.required).count();
        let most =
            if self.args.iter().any(|arg| arg.repeated) { None } else { Some(self.args.len()) };
        (least, most)
    }

    /// `minke create [OPTIONS] ID`.
    pub(crate) fn usage(&self) -> String {
        let mut line = format!("minke {}", self.name);
        if self.flags.iter().any(|flag| !flag.hidden) {
            line += " [OPTIONS]";
        }
        for arg in self.args {
            let dots = if arg.repeated { "..." } else { "" };
            if arg.required {
                line += &format!(" {}{dots}", arg.name);
            } else {
                line += &format!(" [{}{dots}]", arg.name);
            }
        }
        line
    }
}

impl Flag {
    pub(crate) fn answers_to(&self, name: &str) -> bool {
        self.long == name || self.short.is_some_and(|short| name.chars().eq([short]))
    }

    pub(crate) const fn new(long: &'static str, kind: Kind, help: &'static str) -> Self {
        Self { long, short: None, kind, help, hidden: false }
    }

    pub(crate) const fn switch(long: &'static str, help: &'static str) -> Self {
        Self::new(long, Kind::Switch, help)
    }

    pub(crate) const fn short(mut self, short: char) -> Self {
        self.short = Some(short);
        self
    }

    pub(crate) const fn hidden(mut self) -> Self {
        self.hidden = true;
        self
    }
}
