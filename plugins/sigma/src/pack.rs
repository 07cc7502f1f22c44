//! A pack of rules: files in, compiled rules and a report on every document out.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use crate::{
    Fault,
    condition::Expr,
    correlation::{Correlation, Draft, Of},
    field::{Event, Fields},
    imply::{self, Index, Wanted, Way},
    item::{Context, cut},
    matcher::Scratch,
    rule::{self, Kind, Rule, State},
    yaml::{self, Node},
};

/// Bytes of one file.
const MAX_FILE: usize = 1 << 20;
/// Bytes of a pack.
const MAX_BYTES: usize = 64 << 20;
/// Documents of a pack.
const MAX_RULES: usize = 50_000;

/// One file of a pack.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// What it is called in the report.
    pub path: &'a str,
    /// What it holds.
    pub text: &'a str,
}

/// What a pack is compiled with.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The values of each placeholder, by its name without the percent signs.
    pub placeholders: BTreeMap<String, Vec<String>>,
    /// Whether rules keep a text of their condition for people.
    pub readable: bool,
}

/// A rule that is decided by one event.
#[derive(Clone, Debug)]
pub struct Detection {
    /// Its position among the rules of the pack.
    pub rule: usize,
    /// Whether only correlations want to know of it.
    pub silent: bool,
    expr: Expr,
    ways: Vec<Way>,
}

/// A compiled pack.
#[derive(Clone, Debug)]
pub struct Pack {
    rules: Vec<Rule>,
    fields: Fields,
    detections: Vec<Detection>,
    correlations: Vec<Correlation>,
    index: Index,
}

/// Room that matching needs, kept from event to event.
#[derive(Clone, Debug, Default)]
pub struct Room {
    scratch: Scratch,
    text: String,
    candidates: Vec<u32>,
}

impl Pack {
    /// Compiles files. What cannot be compiled is told of in [`Pack::rules`] and stops nothing else. Only
    /// `.yml` and `.yaml` files hold rules.
    ///
    /// # Errors
    /// When the pack is too large to be looked at.
    pub fn compile<'a>(
        sources: impl IntoIterator<Item = Source<'a>>,
        options: &Options,
    ) -> Result<Self, String> {
        let mut fields = Fields::default();
        let index = Index::new(&mut fields)?;
        let mut maker = Maker {
            pack: Self {
                rules: Vec::new(),
                fields,
                detections: Vec::new(),
                correlations: Vec::new(),
                index,
            },
            options,
            taken: HashMap::new(),
            filters: Vec::new(),
            drafts: Vec::new(),
        };
        let mut bytes = 0;
        for source in sources {
            let rules = [".yml", ".yaml"]
                .iter()
                .any(|end| source.path.ends_with(end));
            if rules {
                bytes += source.text.len();
                if bytes > MAX_BYTES || maker.pack.rules.len() > MAX_RULES {
                    return Err(format!(
                        "the pack has more than {MAX_BYTES} bytes or {MAX_RULES} rules"
                    ));
                }
                maker.file(source);
            }
        }
        Ok(maker.finish())
    }

    /// Every document, in the order of the files.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Rules decided by one event, by the numbers that [`Pack::matches`] tells.
    #[must_use]
    pub fn detections(&self) -> &[Detection] {
        &self.detections
    }

    /// Correlations, each after those that it is about.
    #[must_use]
    pub fn correlations(&self) -> &[Correlation] {
        &self.correlations
    }

    /// The fields that the rules read.
    #[must_use]
    pub fn fields(&self) -> &Fields {
        &self.fields
    }

    /// The events that some rule could match, as clauses of which one must hold; without any, all events.
    #[must_use]
    pub fn clauses(&self) -> Vec<Vec<Wanted>> {
        imply::clauses(
            self.detections
                .iter()
                .map(|detection| detection.ways.as_slice()),
            &self.fields,
        )
    }

    /// Calls `matched` with each detection that an event matches, in rising order.
    pub fn matches(&self, event: &impl Event, room: &mut Room, mut matched: impl FnMut(u32)) {
        self.index
            .candidates(event, &self.fields, &mut room.text, &mut room.candidates);
        for candidate in &room.candidates {
            let detection = &self.detections[*candidate as usize];
            if detection.expr.holds(event, &self.fields, &mut room.scratch) {
                matched(*candidate);
            }
        }
    }
}

struct Maker<'a> {
    pack: Pack,
    options: &'a Options,
    /// The rule of each `id` and `name`.
    taken: HashMap<String, usize>,
    filters: Vec<Filter>,
    drafts: Vec<Draft>,
}

struct Filter {
    rule: usize,
    /// Names of rules; none for all of them.
    names: Option<Vec<String>>,
    expr: Arc<Expr>,
}

impl Maker<'_> {
    fn file(&mut self, source: Source<'_>) {
        let unreadable = |fault| Rule::unreadable(source.path, fault);
        if source.text.len() > MAX_FILE {
            let size = source.text.len();
            let reason = format!("has {size} bytes, at most {MAX_FILE} are read of a file");
            self.pack.rules.push(unreadable(Fault::new(1, reason)));
            return;
        }
        match yaml::documents(source.text) {
            Ok(documents) => documents
                .iter()
                .for_each(|document| self.document(source.path, document)),
            Err(fault) => self.pack.rules.push(unreadable(fault)),
        }
    }

    fn document(&mut self, path: &str, document: &Node) {
        let mut rule = Rule::of(path, document);
        let number = self.pack.rules.len();
        if rule.state == State::Compiled {
            rule.state = match self.take(&rule, number) {
                Ok(()) => self.compile(&mut rule, number, document),
                Err(fault) => State::Refused(fault),
            };
        }
        self.pack.rules.push(rule);
    }

    /// Notes the names of a rule, if nobody has them.
    fn take(&mut self, rule: &Rule, number: usize) -> Result<(), Fault> {
        let names = [&rule.id, &rule.name]
            .into_iter()
            .filter(|name| !name.is_empty());
        for name in names.clone() {
            if let Some(first) = self.taken.get(name) {
                let first = &self.pack.rules[*first];
                let reason = format!(
                    "`{}` is the id or name of {}:{} already",
                    cut(name),
                    first.path,
                    first.line
                );
                return Err(Fault::new(rule.line, reason));
            }
        }
        self.taken.extend(names.map(|name| (name.clone(), number)));
        Ok(())
    }

    fn compile(&mut self, rule: &mut Rule, number: usize, document: &Node) -> State {
        if rule.status == "deprecated" {
            return State::Skipped("is deprecated: another rule has taken its place".to_owned());
        }
        let made = match rule.kind {
            Kind::Detection | Kind::Unknown => self.detection(rule, number, document),
            Kind::Correlation => self.correlation(number, document),
            Kind::Filter => self.filter(number, document),
        };
        match made {
            Ok(()) if rule.status == "unsupported" => {
                self.pack
                    .detections
                    .retain(|detection| detection.rule != number);
                let reason = "its status is `unsupported`: by Sigma's own words it cannot be used as it is, mostly because it means several events together; write a correlation";
                State::Refused(Fault::new(rule.line, reason.to_owned()))
            }
            Ok(()) => State::Compiled,
            Err(fault) => State::Refused(fault),
        }
    }

    fn section<'n>(document: &'n Node, key: &str) -> Result<&'n Node, Fault> {
        document
            .get(key)
            .ok_or_else(|| Fault::new(document.line, format!("has no `{key}`")))
    }

    fn context(&mut self) -> Context<'_> {
        Context {
            fields: &mut self.pack.fields,
            placeholders: &self.options.placeholders,
            readable: self.options.readable,
        }
    }

    fn detection(&mut self, rule: &mut Rule, number: usize, document: &Node) -> Result<(), Fault> {
        let section = Self::section(document, "detection")?;
        let expr = rule::compile(section, &[], &mut self.context())?;
        if self.options.readable {
            rule.condition = expr.to_string();
        }
        self.pack.detections.push(Detection {
            rule: number,
            silent: false,
            expr,
            ways: Vec::new(),
        });
        Ok(())
    }

    fn filter(&mut self, number: usize, document: &Node) -> Result<(), Fault> {
        let section = Self::section(document, "filter")?;
        let expr = rule::compile(section, &["rules"], &mut self.context())?;
        let rules = section.get("rules").map_or(&[][..], Node::list);
        let names: Vec<String> = rules
            .iter()
            .filter_map(Node::text)
            .map(str::to_owned)
            .collect();
        if names.is_empty() {
            return Err(Fault::new(
                section.line,
                "filter: `rules` must name rules, or be `any`".to_owned(),
            ));
        }
        self.filters.push(Filter {
            rule: number,
            names: (names != ["any"]).then_some(names),
            // A filter keeps what its condition describes from matching. Where it is written as what stays
            // (`not selection`), it says the same already.
            expr: Arc::new(if is_negation(&expr) {
                expr
            } else {
                Expr::Not(Box::new(expr))
            }),
        });
        Ok(())
    }

    fn correlation(&mut self, number: usize, document: &Node) -> Result<(), Fault> {
        let section = Self::section(document, "correlation")?;
        self.drafts
            .push(Draft::read(number, section, &mut self.pack.fields)?);
        Ok(())
    }

    fn finish(mut self) -> Pack {
        self.apply_filters();
        self.join();
        let Pack {
            detections,
            index,
            fields,
            ..
        } = &mut self.pack;
        for (number, detection) in (0..).zip(&mut *detections) {
            detection.ways = imply::ways(&detection.expr, fields);
            index.add(number, &detection.ways);
            if detection.ways.len() == 1 {
                let all = std::mem::replace(&mut detection.expr, Expr::All(Vec::new()));
                let left = imply::undecided(all, fields, &mut [false; 2]);
                detection.expr = left.unwrap_or(Expr::All(Vec::new()));
            }
        }
        index.build();
        // What is not found by its call is looked for, and judged, on many events.
        let by_call = |detection: &&Detection| detection.ways.iter().all(Way::names_call);
        let mut often = BTreeSet::new();
        for detection in detections.iter().filter(|one| !by_call(one)) {
            detection.expr.fields(&mut often);
        }
        fields.keep_direct(&often);
        self.pack
    }

    /// The rule of an id or a name.
    fn named(&self, name: &str) -> Option<usize> {
        let number = self
            .taken
            .get(name)
            .or_else(|| self.taken.get(&name.to_lowercase()));
        number.copied()
    }

    fn apply_filters(&mut self) {
        for filter in std::mem::take(&mut self.filters) {
            let meant: Option<Vec<usize>> = filter
                .names
                .as_ref()
                .map(|names| names.iter().filter_map(|name| self.named(name)).collect());
            let mut applied = 0;
            for detection in &mut self.pack.detections {
                if meant
                    .as_ref()
                    .is_none_or(|meant| meant.contains(&detection.rule))
                {
                    let whole = std::mem::replace(&mut detection.expr, Expr::All(Vec::new()));
                    detection.expr = Expr::All(vec![whole, Expr::Named(Arc::clone(&filter.expr))]);
                    if self.options.readable {
                        self.pack.rules[detection.rule].condition = detection.expr.to_string();
                    }
                    applied += 1;
                }
            }
            if applied == 0 {
                let rule = &mut self.pack.rules[filter.rule];
                let reason = "filter: none of the rules that it names is in the pack and compiled"
                    .to_owned();
                rule.state = State::Refused(Fault::new(rule.line, reason));
            }
        }
    }

    /// Looks up the rules of correlations, those of which others are made first.
    fn join(&mut self) {
        let drafts = std::mem::take(&mut self.drafts);
        let mut done: HashMap<usize, usize> = HashMap::new();
        let detections: HashMap<usize, u32> = (0..)
            .zip(&self.pack.detections)
            .map(|(number, detection)| (detection.rule, number))
            .collect();
        let mut waiting: Vec<&Draft> = drafts.iter().collect();
        loop {
            let before = waiting.len();
            waiting.retain(|draft| {
                let found = |(name, _): &(String, u32)| {
                    let rule = self.named(name)?;
                    let detection = detections.get(&rule).map(|number| Of::Detection(*number));
                    detection.or_else(|| done.get(&rule).map(|number| Of::Correlation(*number)))
                };
                let Some(of) = draft.names.iter().map(found).collect::<Option<Vec<Of>>>() else {
                    return true;
                };
                match draft.resolve(of, &mut self.pack.fields) {
                    Ok(correlation) => {
                        done.insert(draft.rule, self.pack.correlations.len());
                        self.pack.correlations.push(correlation);
                    }
                    Err(fault) => self.pack.rules[draft.rule].state = State::Refused(fault),
                }
                false
            });
            if waiting.len() == before {
                break;
            }
        }
        let faults: Vec<(usize, Fault)> = waiting
            .iter()
            .map(|draft| (draft.rule, self.unresolved(draft)))
            .collect();
        for (rule, fault) in faults {
            self.pack.rules[rule].state = State::Refused(fault);
        }
        self.silence(&drafts);
    }

    /// Why a correlation could not be made.
    fn unresolved(&self, draft: &Draft) -> Fault {
        let unknown = draft
            .names
            .iter()
            .find(|(name, _)| self.named(name).is_none());
        if let Some((name, line)) = unknown {
            return Fault::new(
                *line,
                format!(
                    "correlation: names rule `{}`, which is not in the pack",
                    cut(name)
                ),
            );
        }
        let refused = |name: &String| {
            let rule = &self.pack.rules[self.named(name)?];
            (rule.state != State::Compiled || rule.kind == Kind::Filter).then_some(rule)
        };
        match draft.names.iter().find_map(|(name, line)| refused(name).map(|rule| (rule, line))) {
            Some((rule, line)) => Fault::new(*line, format!("correlation: names `{}`, which is no compiled rule", cut(&rule.id))),
            None => Fault::new(draft.line, "correlation: is part of a circle of correlations that wait for one another, or of one that cannot be made".to_owned()),
        }
    }

    /// Rules that stand in a correlation are told of by it alone, unless one says `generate: true`.
    fn silence(&mut self, drafts: &[Draft]) {
        let pack = &mut self.pack;
        let mut heard: Vec<Of> = Vec::new();
        let mut silent: Vec<Of> = Vec::new();
        for correlation in &pack.correlations {
            let draft = drafts.iter().find(|draft| draft.rule == correlation.rule);
            let into = if draft.is_some_and(|draft| draft.generate) {
                &mut heard
            } else {
                &mut silent
            };
            into.extend(correlation.of.iter().map(|(of, _)| *of));
        }
        for of in silent.iter().filter(|of| !heard.contains(of)) {
            match *of {
                Of::Detection(number) => pack.detections[number as usize].silent = true,
                Of::Correlation(number) => pack.correlations[number].silent = true,
            }
        }
    }
}

/// Whether an expression says only what must not be.
fn is_negation(expr: &Expr) -> bool {
    match expr {
        Expr::Not(_) => true,
        Expr::Named(one) => is_negation(one),
        Expr::All(of) | Expr::Any(of) => of.iter().all(is_negation),
        Expr::Item(_) => false,
    }
}
