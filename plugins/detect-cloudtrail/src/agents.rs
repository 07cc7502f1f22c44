//! User agents that name a tool.

/// Words to be found in an agent, in whatever case.
#[derive(Debug)]
pub(crate) struct Agents {
    /// For each byte, which of the lists below holds the words that begin with it; 0 is none.
    lists: [u8; 256],
    words: Vec<Vec<Vec<u8>>>,
}

impl Default for Agents {
    fn default() -> Self {
        Self {
            lists: [0; 256],
            words: vec![Vec::new()],
        }
    }
}

impl Agents {
    pub(crate) fn new(words: &[String]) -> Self {
        let mut agents = Self::default();
        for word in words {
            let Some(first) = word.bytes().next() else {
                continue;
            };
            let both = [first.to_ascii_lowercase(), first.to_ascii_uppercase()].map(usize::from);
            if agents.lists[both[0]] == 0 {
                // A list a byte at the most, and none for the byte that no text in UTF-8 has.
                let list = u8::try_from(agents.words.len()).unwrap_or(0);
                for byte in both {
                    agents.lists[byte] = list;
                }
                agents.words.push(Vec::new());
            }
            let list = usize::from(agents.lists[both[0]]);
            agents.words[list].push(word.as_bytes().to_vec());
        }
        agents
    }

    /// Whether an agent has one of the words in it.
    pub(crate) fn names_one(&self, agent: &[u8]) -> bool {
        agent.iter().enumerate().any(|(at, byte)| {
            let list = self.lists[usize::from(*byte)];
            list != 0 && {
                let mut words = self.words[usize::from(list)].iter();
                words.any(|word| begins_with(&agent[at..], word))
            }
        })
    }
}

/// Whether a text begins with a word; most are told apart by their second byte.
fn begins_with(text: &[u8], word: &[u8]) -> bool {
    let second = match (text.get(1), word.get(1)) {
        (Some(one), Some(other)) => one.eq_ignore_ascii_case(other),
        (_, other) => other.is_none(),
    };
    let here = text.get(..word.len());
    second && here.is_some_and(|here| here.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_anywhere_and_in_any_case() {
        let agents = Agents::new(&["kali".to_owned(), "Äpfel".to_owned()]);
        for agent in ["kali", "aws-cli Linux/4.19-KALI1", "kkali", "x Äpfel"] {
            assert!(agents.names_one(agent.as_bytes()), "{agent}");
        }
        for agent in ["", "kal", "aws-cli", "k a l i"] {
            assert!(!agents.names_one(agent.as_bytes()), "{agent}");
        }
        assert!(!Agents::default().names_one(b"kali"));
    }
}
