//! The matrix as a page that needs nothing beside it.

use std::fmt::Write as _;

use super::coverage::Coverage;

const STYLE: &str = "\
:root { color-scheme: light dark; font: 14px/1.4 system-ui, sans-serif; }
body { margin: 1.5rem; }
.matrix { display: flex; gap: .5rem; align-items: flex-start; overflow-x: auto; }
section { flex: 1 0 11rem; }
h2 { font-size: 1rem; }
details, .none { border: 1px solid #8886; border-radius: .3rem; padding: .3rem .5rem; margin-bottom: .3rem; }
details { background: #2a7d4f33; }
.none { opacity: .65; }
code { font-size: .85em; }
ul { padding-left: 1rem; margin: .3rem 0; }";

/// The page.
pub(super) fn page(coverage: &Coverage) -> String {
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <title>Detections by MITRE ATT&amp;CK</title>\n<style>{STYLE}</style>\n\
         <h1>Detections by MITRE ATT&amp;CK</h1>\n<p>{}</p>\n<div class=\"matrix\">\n",
        escaped(&coverage.summary())
    );
    for tactic in &coverage.tactics {
        let _ = writeln!(page, "<section><h2>{}</h2>", escaped(tactic.name));
        for technique in &tactic.techniques {
            let (id, name) = (escaped(&technique.id), escaped(technique.name));
            if technique.rules.is_empty() {
                let _ = writeln!(page, "<div class=\"none\"><code>{id}</code> {name}</div>");
                continue;
            }
            let count = technique.rules.len();
            let _ = write!(
                page,
                "<details><summary><code>{id}</code> {name} <b>{count}</b></summary><ul>"
            );
            for rule in &technique.rules {
                let (id, title) = (escaped(&rule.id), escaped(&rule.title));
                let _ = write!(page, "<li>{title} <code>{id}</code></li>");
            }
            page.push_str("</ul></details>\n");
        }
        page.push_str("</section>\n");
    }
    page.push_str("</div>\n</html>\n");
    page
}

/// Text of rules is not ours.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            character => out.push(character),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::rules::coverage::{Found, Tactic, Technique};

    #[test]
    fn what_a_rule_says_of_itself_is_text_and_nothing_else() {
        let rules = vec![Found {
            id: "x".to_owned(),
            title: "<script>alert('\"&')</script>".to_owned(),
            from_pack: true,
        }];
        let technique = Technique {
            id: "T<b>".to_owned(),
            name: "",
            rules,
        };
        let tactics = vec![Tactic {
            name: "Impact",
            techniques: vec![technique],
        }];
        let page = page(&Coverage {
            tactics,
            found: 0,
            known: 1,
            without: 0,
        });
        assert!(
            !page.contains("<script") && !page.contains("T<b>"),
            "{page}"
        );
        assert!(
            page.contains("&lt;script&gt;alert('&quot;&amp;')"),
            "{page}"
        );
    }
}
