//! `sluicegate rules explain`.

use super::{
    attack,
    inventory::{Rule, State},
};
use crate::text::shown;

/// All that is known of a rule, line by line.
pub(super) fn lines(rule: &Rule) -> Vec<String> {
    let mut lines = vec![
        shown(&rule.title),
        format!("  id          {}", shown(&rule.id)),
        format!("  severity    {}", rule.severity),
        format!("  from        {}", shown(&rule.place)),
    ];
    match &rule.state {
        State::Active => {}
        State::Refused(reason) => lines.push(format!("  REFUSED     {}", shown(reason))),
        State::Skipped(reason) => lines.push(format!("  skipped     {}", shown(reason))),
    }
    for technique in &rule.techniques {
        let name = attack::technique(technique).map_or("", |known| known.name);
        lines.push(format!("  technique   {} {name}", shown(technique)));
    }
    let mut paragraph = |name: &str, text: &str| {
        if !text.is_empty() {
            lines.push(String::new());
            lines.push(format!("{name}:"));
            lines.extend(text.lines().map(|line| format!("  {}", shown(line))));
        }
    };
    paragraph("What it finds", &rule.description);
    paragraph("Condition", &rule.condition);
    paragraph("Why", &rule.rationale);
    paragraph("When it is wrong", &rule.false_positives.join("\n"));
    paragraph("References", &rule.references.join("\n"));
    lines
}
