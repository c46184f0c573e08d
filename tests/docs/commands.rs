//! Commands in blocks of code, as a shell would split them.

use super::markdown::Block;

/// One simple command.
pub(super) struct Command {
    /// The line that it is on.
    pub(super) line: usize,
    /// Its words, without assignments and redirections.
    pub(super) words: Vec<String>,
}

impl Command {
    /// The arguments for our program, if the command runs it: by itself, in a pod, or by cargo.
    pub(super) fn of_the_program(&self) -> Option<Vec<String>> {
        let ours = |word: &String| word == "probity" || word.ends_with("/probity");
        let first = self.words.first()?;
        let begin = if ours(first) {
            0
        } else {
            let dashes = self.words.iter().position(|word| word == "--")?;
            match first.as_str() {
                "kubectl" if self.words.get(dashes + 1).is_some_and(ours) => dashes + 1,
                "cargo" if self.words.get(1).is_some_and(|word| word == "run") => dashes,
                _ => return None,
            }
        };
        Some(
            self.words[begin + 1..]
                .iter()
                .map(|word| example(word))
                .collect(),
        )
    }

    /// The words before the first argument: `get`, or `create`, `namespace`.
    pub(super) fn verbs(&self) -> Vec<String> {
        let nested = [
            "create", "auth", "config", "rollout", "set", "repo", "label",
        ];
        let mut words = self.words.iter().skip(1);
        let mut verbs = Vec::new();
        while let Some(word) = words.next() {
            if ["-n", "--namespace", "--context"].contains(&word.as_str()) {
                words.next();
            } else if word.starts_with('-') {
                break;
            } else {
                verbs.push(word.clone());
                if verbs.len() == 2 || !nested.contains(&word.as_str()) {
                    break;
                }
            }
        }
        verbs
    }

    /// The long flags before `--`.
    pub(super) fn flags(&self) -> Vec<String> {
        let own = self.words.iter().take_while(|word| *word != "--");
        let flags = own.filter(|word| word.starts_with("--"));
        flags
            .map(|word| word.split('=').next().unwrap_or_default().to_owned())
            .collect()
    }

    /// The names of the values that `--set` and its kin set.
    pub(super) fn sets(&self) -> Vec<String> {
        let pairs = self.words.windows(2);
        let set = pairs.filter(|pair| pair[0].starts_with("--set"));
        let each = set.flat_map(|pair| match pair[0].as_str() {
            "--set-json" => vec![pair[1].as_str()],
            _ => pair[1].split(',').collect(),
        });
        each.filter_map(|set| Some(set.split_once('=')?.0.to_owned()))
            .collect()
    }
}

/// The commands of a block; none, if it is no shell.
pub(super) fn commands(block: &Block) -> Vec<Command> {
    if !["sh", "bash", "console"].contains(&block.language.as_str()) {
        return Vec::new();
    }
    let prompted = block.lines.iter().any(|line| line.starts_with("$ "));
    let mut commands = Vec::new();
    let mut text = String::new();
    let mut begin = block.line;
    let mut document: Option<String> = None;
    for (at, line) in block.lines.iter().enumerate() {
        if let Some(end) = &document {
            if line.trim() == end {
                document = None;
            }
            continue;
        }
        let line = match line.strip_prefix("$ ") {
            Some(command) => command,
            None if prompted && text.is_empty() => continue,
            None => line,
        };
        if text.is_empty() {
            begin = block.line + at;
        }
        text.push_str(line);
        if let Some(rest) = text.strip_suffix('\\') {
            text = format!("{rest} ");
            continue;
        }
        let Some(split) = split(&text) else {
            // A quote goes on.
            text.push('\n');
            continue;
        };
        document = line.split_once("<<").map(|(_, end)| {
            end.trim_start_matches('-')
                .trim()
                .trim_matches('\'')
                .to_owned()
        });
        text.clear();
        let some = split.into_iter().filter(|words| !words.is_empty());
        commands.extend(some.map(|words| Command { line: begin, words }));
    }
    assert!(text.is_empty(), "line {begin}: a quote doesn't end: {text}");
    commands
}

/// The arguments of code in a sentence that is a command of our program.
pub(super) fn inline(code: &str) -> Option<Vec<String>> {
    let words = split(code)?.into_iter().next()?;
    if words.first()? != "probity" || words.len() < 2 {
        return None;
    }
    Some(words[1..].iter().map(|word| example(word)).collect())
}

/// What a reader puts in the place of a word in capitals, or of dots.
fn example(word: &str) -> String {
    if word == "SHELL" {
        return "bash".to_owned();
    }
    let is_place = word.chars().all(|c| c.is_ascii_uppercase() || c == '|');
    if is_place || word == "…" {
        "1".to_owned()
    } else {
        word.to_owned()
    }
}

/// The simple commands of a line, each as its words. `None` if a quote doesn't end.
fn split(line: &str) -> Option<Vec<Vec<String>>> {
    let mut commands = vec![Vec::new()];
    let mut word: Option<String> = None;
    let mut chars = line.chars().peekable();
    let finish = |word: &mut Option<String>, commands: &mut Vec<Vec<String>>| {
        let Some(word) = word.take() else { return };
        if let Some(command) = commands.last_mut() {
            // FOO=bar before a command is for its environment.
            let assigns = word
                .split_once('=')
                .is_some_and(|(name, _)| name.chars().all(|c| c.is_ascii_uppercase() || c == '_'));
            if !(command.is_empty() && (assigns || word == "export" || word == "time")) {
                command.push(word);
            }
        }
    };
    while let Some(c) = chars.next() {
        match c {
            '\'' | '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next()? {
                        end if end == c => break,
                        inner => word.push(inner),
                    }
                }
            }
            '#' if word.is_none() => break,
            '|' | ';' | '&' | '(' | ')' if word.as_deref() != Some("2>") => {
                finish(&mut word, &mut commands);
                commands.push(Vec::new());
            }
            '>' | '<' => {
                // Where it goes is no argument.
                if word.as_deref() == Some("2") {
                    word = None;
                }
                finish(&mut word, &mut commands);
                while chars
                    .next_if(|c| matches!(c, '>' | '<' | '&' | ' ' | '-'))
                    .is_some()
                {}
                while chars.next_if(|c| !c.is_whitespace()).is_some() {}
            }
            c if c.is_whitespace() => finish(&mut word, &mut commands),
            c => word.get_or_insert_default().push(c),
        }
    }
    finish(&mut word, &mut commands);
    Some(commands)
}

#[test]
fn commands_are_split_as_a_shell_does() {
    let block = Block {
        language: "console".to_owned(),
        line: 7,
        lines: [
            "$ A=b kubectl -n x exec p -- probity log --type 'a b' > log # why",
            "output",
            "$ helm install x \\",
            "  --set a.b=c,d=e && probity verify log 2>&1 | less",
        ]
        .map(str::to_owned)
        .to_vec(),
    };
    let found = commands(&block);
    assert_eq!(found.len(), 4);
    assert_eq!(found[0].of_the_program().unwrap(), ["log", "--type", "a b"]);
    assert_eq!(found[0].verbs(), ["exec"]);
    assert_eq!(
        (found[1].line, found[1].sets()),
        (9, vec!["a.b".into(), "d".into()])
    );
    assert_eq!(found[1].flags(), ["--set"]);
    assert_eq!(found[2].of_the_program().unwrap(), ["verify", "log"]);
    assert_eq!(inline("probity sample FILE --count N").unwrap()[1], "1");
}
