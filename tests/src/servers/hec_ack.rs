//! Splunk's indexer acknowledgement, as several indexers behind a load balancer with sticky cookies do it:
//! each numbers the requests of a channel from 0, and says of a number that it is indexed only once.

use std::collections::{HashMap, VecDeque};

use super::Request;

/// What the indexers know, and how they are told to behave.
pub(super) struct Acknowledgements {
    nodes: usize,
    /// Questions after which a request is indexed.
    questions: u32,
    /// Requests to come that are never acknowledged.
    pub(super) lost: usize,
    /// Requests to come that are numbered from 0 again, as by a restarted indexer.
    pub(super) forgetful: bool,
    /// Statuses of the next answers to questions.
    pub(super) faults: VecDeque<u16>,
    channels: HashMap<(usize, String), Vec<Option<u32>>>,
    cookies_set: usize,
    /// Questions asked.
    pub(super) asked: usize,
}

impl Acknowledgements {
    pub(super) fn new(nodes: usize, questions: u32) -> Self {
        Self {
            nodes,
            questions,
            lost: 0,
            forgetful: false,
            faults: VecDeque::new(),
            channels: HashMap::new(),
            cookies_set: 0,
            asked: 0,
        }
    }

    /// The node that a request reaches, and the cookie that its answer sets: another one every time.
    pub(super) fn route(&mut self, request: &Request) -> (usize, String) {
        let sticky = request
            .header("cookie")
            .and_then(|cookies| {
                cookies
                    .split("; ")
                    .find_map(|one| one.strip_prefix("NODE="))
            })
            .and_then(|value| value.split('.').next()?.parse::<usize>().ok())
            .filter(|node| *node < self.nodes);
        self.cookies_set += 1;
        let node = sticky.unwrap_or(self.cookies_set % self.nodes);
        (
            node,
            format!("NODE={node}.{}; Path=/; HttpOnly", self.cookies_set),
        )
    }

    /// The number of a request that was taken.
    pub(super) fn take(&mut self, node: usize, channel: &str) -> usize {
        let requests = self.channels.entry((node, channel.to_owned())).or_default();
        if std::mem::take(&mut self.forgetful) {
            requests.clear();
        }
        let lost = self.lost > 0;
        self.lost -= usize::from(lost);
        requests.push((!lost).then_some(self.questions));
        requests.len() - 1
    }

    /// Whether each of these is indexed.
    pub(super) fn answer(
        &mut self,
        node: usize,
        channel: &str,
        ids: &[usize],
    ) -> HashMap<String, bool> {
        self.asked += 1;
        let requests = self.channels.entry((node, channel.to_owned())).or_default();
        let mut indexed = |id: usize| match requests.get_mut(id) {
            Some(left @ Some(0)) => {
                *left = None;
                true
            }
            Some(Some(questions)) => {
                *questions -= 1;
                false
            }
            _ => false,
        };
        ids.iter()
            .map(|id| (id.to_string(), indexed(*id)))
            .collect()
    }
}

/// Whether a channel has the shape that collectors demand.
pub(super) fn is_guid(channel: &str) -> bool {
    let groups: Vec<&str> = channel.split('-').collect();
    groups.iter().map(|group| group.len()).eq([8, 4, 4, 4, 12])
        && groups
            .iter()
            .all(|group| group.bytes().all(|byte| byte.is_ascii_hexdigit()))
}
