//! A consumer group as Kafka's coordinator keeps it: who belongs to it, who has joined since it began to be formed anew, and who reads what.
//!
//! Every member leaves what it has and joins anew whenever somebody comes or goes (the eager protocol); partitions go to members in ranges
//! (`RangeAssignor`).

/// The members of a group.
#[derive(Clone, Debug, Default)]
pub(crate) struct Group {
    /// In order of their numbers.
    members: Vec<Member>,
    /// Whether everybody reads what was assigned; else it is being formed.
    stable: bool,
    /// Numbers given so far.
    numbers: u32,
}

/// One life of a member: a process that comes back is a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Member {
    number: u32,
    replica: u32,
    has_joined: bool,
}

impl Group {
    /// A group that has had its members since long ago.
    pub(crate) const fn new() -> Self {
        Self { members: Vec::new(), stable: true, numbers: 0 }
    }

    /// Whether everybody reads what was assigned.
    pub(crate) const fn is_stable(&self) -> bool {
        self.stable
    }

    /// How many members there are, those included that have ended without anybody knowing.
    pub(crate) const fn len(&self) -> usize {
        self.members.len()
    }

    /// Somebody joins; the number is its own.
    pub(crate) fn join(&mut self, replica: u32) -> u32 {
        let number = self.numbers;
        self.numbers += 1;
        self.members.push(Member { number, replica, has_joined: true });
        number
    }

    /// Takes a member out; `false` if it is out already.
    pub(crate) fn remove(&mut self, number: u32) -> bool {
        let before = self.members.len();
        self.members.retain(|member| member.number != number);
        before != self.members.len()
    }

    /// The group is formed anew: all but the one that has just come have to join again. The result are the replicas of those.
    pub(crate) fn begin(&mut self, newcomer: Option<u32>) -> Vec<u32> {
        self.stable = false;
        self.members.iter_mut().for_each(|member| member.has_joined = Some(member.number) == newcomer);
        self.missing().map(|member| member.replica).collect()
    }

    /// A member joins again.
    pub(crate) fn rejoin(&mut self, number: u32) {
        self.members.iter_mut().filter(|member| member.number == number).for_each(|member| member.has_joined = true);
    }

    fn missing(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|member| !member.has_joined)
    }

    /// Those who have not joined are out: the group has waited for long enough. The result are their numbers and replicas.
    pub(crate) fn give_up(&mut self) -> Vec<(u32, u32)> {
        let late = self.missing().map(|member| (member.number, member.replica)).collect();
        self.members.retain(|member| member.has_joined);
        late
    }

    /// Whether all have joined.
    pub(crate) fn is_complete(&self) -> bool {
        self.missing().next().is_none()
    }

    /// Everybody has joined: who reads each of so many partitions, in ranges, the first ones with one more; nothing if nobody is there.
    pub(crate) fn assign(&mut self, partitions: u32) -> Vec<u32> {
        self.stable = true;
        let count = self.members.len() as u32;
        if count == 0 {
            return Vec::new();
        }
        let mut replicas: Vec<u32> = self.members.iter().map(|member| member.replica).collect();
        replicas.sort_unstable();
        let (each, more) = (partitions / count, partitions % count);
        let share = |place: usize| each + u32::from((place as u32) < more);
        replicas.iter().enumerate().flat_map(|(place, replica)| std::iter::repeat_n(*replica, share(place) as usize)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(replicas: &[u32]) -> Group {
        let mut group = Group::new();
        replicas.iter().for_each(|replica| {
            group.join(*replica);
        });
        group
    }

    #[test]
    fn partitions_go_in_ranges_and_the_first_ones_get_one_more() {
        assert_eq!(of(&[4, 2, 9]).assign(8), [2, 2, 2, 4, 4, 4, 9, 9]);
        assert_eq!(of(&[1, 2]).assign(2), [1, 2]);
        assert_eq!(of(&[1, 2, 3]).assign(2), [1, 2], "whoever comes beyond the partitions reads nothing");
        assert_eq!(of(&[]).assign(2), [0_u32; 0]);
    }

    #[test]
    fn a_group_waits_for_all_until_it_gives_them_up() {
        let mut group = of(&[0, 1]);
        group.assign(2);
        let newcomer = group.join(2);
        assert_eq!(group.begin(Some(newcomer)), [0, 1]);
        assert!(!group.is_stable() && !group.is_complete());
        group.rejoin(0);
        assert!(!group.is_complete());
        assert_eq!(group.give_up(), [(1, 1)]);
        assert!(group.is_complete());
        assert_eq!(group.assign(3), [0, 0, 2]);
        assert!(group.is_stable());
    }

    #[test]
    fn one_that_leaves_is_not_waited_for() {
        let mut group = of(&[0, 1]);
        assert!(group.remove(1) && !group.remove(1));
        group.begin(None);
        group.rejoin(0);
        assert!(group.is_complete());
        assert_eq!(group.assign(2), [0, 0]);
    }
}
