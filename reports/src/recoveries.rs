//! How soon users were well again, as curves: in each class the share of runs that had recovered by each time, an arm a line.

use firedrill_core::name::Name;
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::chart::{
    Figures, GRID, HUMAN, LABEL, NOTHING, ORACLE, POLICY, Paint, Role, WIDTH, clock, finish_of, mark, policy_role, ticks, titled,
};
use crate::outcome::{ArmOutcome, Outcome};
use crate::statistics::{Sample, kaplan_meier, quantile};
use crate::verdict::Unit;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), Box<dyn std::error::Error>>;

const COLUMNS: usize = 3;
const PANEL: u32 = WIDTH / COLUMNS as u32;
const HEIGHT: u32 = 430;
const TEXT: u32 = 23;
const TITLE: &str = "The share of runs that had recovered over time, a panel for each class and a line for each arm";

/// A class, and the runs of each policy in it.
#[derive(Clone, Debug)]
pub struct RecoveryClass<'a> {
    /// The class.
    pub name: &'a Name,
    /// Each policy with its outcomes, the candidate first.
    pub policies: Vec<(&'a str, Vec<&'a Outcome>)>,
}

/// A line of a panel: whose it is, in what role, and the time that each run took.
struct Line<'a> {
    whose: &'a str,
    role: Role,
    samples: Vec<Sample>,
}

/// For each class with a fault a panel with the share of runs recovered over time, by Kaplan and Meier's estimate; a tick on a line is a run
/// that ended before it had recovered. `None` if no class has a fault.
#[must_use]
pub fn recoveries(classes: &[RecoveryClass]) -> Option<String> {
    drawn_in(classes, COLUMNS)
}

/// The same one below the other, for a narrow screen.
#[must_use]
pub fn slim_recoveries(classes: &[RecoveryClass]) -> Option<String> {
    drawn_in(classes, 1)
}

fn drawn_in(classes: &[RecoveryClass], columns: usize) -> Option<String> {
    let panels: Vec<(&Name, Vec<Line>)> =
        classes.iter().map(|class| (class.name, lines(class))).filter(|(_, lines)| !lines.is_empty()).collect();
    if panels.is_empty() {
        return None;
    }
    let (width, height) = (PANEL * u32::try_from(columns).ok()?, HEIGHT * u32::try_from(panels.len().div_ceil(columns)).ok()?);
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, (width, height)).into_drawing_area();
        draw(&root, &panels, columns).expect("drawing into a string cannot fail");
    }
    let mut drawn = finish_of(&svg, (width, height), TITLE);
    for (index, (class, line)) in panels.iter().flat_map(|(class, lines)| lines.iter().map(move |line| (class, line))).enumerate() {
        drawn = titled(&drawn, Paint::Stroke, index, (&format!("s-{}", line.role.class), &told(class, line)));
    }
    Some(drawn)
}

/// The figures that [`recoveries`] tells whoever points at its lines; `None` if no class has a fault.
#[must_use]
pub fn recovery_figures(classes: &[RecoveryClass]) -> Option<Figures> {
    let row = |class: &Name, line: &Line<'_>| {
        let n = line.samples.len();
        let open = line.samples.iter().filter(|sample| sample.censored).count();
        let [half, most] = [0.5, 0.9].map(|share| within(line, share));
        vec![class.to_string(), line.whose.to_owned(), half, most, format!("{open} of {n}")]
    };
    let of_class = |class: &RecoveryClass| lines(class).iter().map(|line| row(class.name, line)).collect::<Vec<_>>();
    let rows: Vec<_> = classes.iter().flat_map(of_class).collect();
    let columns = ["class", "arm", "half recovered within", "nine of ten within", "not recovered"].map(str::to_owned).to_vec();
    (!rows.is_empty()).then_some(Figures { columns, rows })
}

/// The time within which a share of the runs of a line had recovered.
fn within(line: &Line<'_>, share: f64) -> String {
    quantile(&line.samples, share).map_or_else(String::new, |found| {
        let time = Unit::Seconds.show(libm::round(found.value));
        if found.at_least { format!("{time} or more") } else { time }
    })
}

/// The arms of a class in the order in which they are drawn: what must be seen lies on top.
fn lines<'a>(class: &RecoveryClass<'a>) -> Vec<Line<'a>> {
    let Some((_, outcomes)) = class.policies.first() else { return Vec::new() };
    let of_arm = |arm: &dyn Fn(&'a Outcome) -> Option<&'a ArmOutcome>| -> Vec<Sample> {
        outcomes.iter().filter_map(|outcome| arm(outcome)?.time_to_recover.map(Sample::from)).collect()
    };
    let shared = [
        Line { whose: "doing nothing", role: NOTHING, samples: of_arm(&|outcome| Some(&outcome.nothing)) },
        Line { whose: "a person on call", role: HUMAN, samples: of_arm(&|outcome| outcome.human.as_ref().map(|human| &human.arm)) },
        Line { whose: "an oracle", role: ORACLE, samples: of_arm(&|outcome| outcome.oracle.as_ref()) },
    ];
    let policies = class.policies.iter().enumerate().rev().map(|(index, (policy, outcomes))| {
        let samples = outcomes.iter().filter_map(|outcome| outcome.time_to_recover.map(Sample::from)).collect();
        Line { whose: policy, role: policy_role(index), samples }
    });
    shared.into_iter().chain(policies).filter(|line| !line.samples.is_empty()).collect()
}

/// What the line says, for those who point at it.
fn told(class: &Name, line: &Line<'_>) -> String {
    let n = line.samples.len();
    let open = line.samples.iter().filter(|sample| sample.censored).count();
    let open = match open {
        0 => String::new(),
        open => format!("; {open} of {n} ended before they had recovered"),
    };
    format!(
        "{class}, {}: half recovered within {}, nine of ten within {} (n = {n}){open}",
        line.whose,
        within(line, 0.5),
        within(line, 0.9)
    )
}

fn draw(root: &Area, panels: &[(&Name, Vec<Line<'_>>)], columns: usize) -> Drawn {
    let mut index = 0;
    for (place, (class, lines)) in panels.iter().enumerate() {
        let left = PANEL * u32::try_from(place % columns)?;
        let top = HEIGHT * u32::try_from(place / columns)?;
        let panel = root.clone().shrink((left, top), (PANEL, HEIGHT));
        draw_panel(&panel, class, lines, index)?;
        index += lines.len();
    }
    root.present()?;
    Ok(())
}

fn draw_panel(panel: &Area, class: &Name, lines: &[Line<'_>], first: usize) -> Drawn {
    let times = lines.iter().flat_map(|line| &line.samples).map(|sample| sample.value);
    let longest = times.fold(10.0, f64::max) * 1.04;
    let mut chart = ChartBuilder::on(panel)
        .margin_right(28)
        .margin_top(56)
        .x_label_area_size(52)
        .y_label_area_size(92)
        .build_cartesian_2d(0.0..longest, 0.0..1.0)?;
    let (base_x, base_y) = panel.get_base_pixel();
    let text = |horizontal, vertical| ("sans-serif", TEXT).into_font().color(&LABEL.sentinel).pos(Pos::new(horizontal, vertical));
    let at = |x: f64, y: f64| {
        let (x, y) = chart.plotting_area().map_coordinate(&(x, y));
        (x - base_x, y - base_y)
    };
    let n = lines.last().map_or(0, |line| line.samples.len());
    panel.draw(&Text::new(format!("{class} (n = {n})"), (at(0.0, 0.0).0, 14), text(HPos::Left, VPos::Top)))?;
    for share in [0.0, 0.5, 1.0] {
        let (left, right) = (at(0.0, share), at(longest, share));
        panel.draw(&PathElement::new([left, right], GRID.sentinel.stroke_width(2)))?;
        panel.draw(&Text::new(format!("{:.0} %", share * 100.0), (left.0 - 14, left.1), text(HPos::Right, VPos::Center)))?;
    }
    // Every third of the round times: a panel is a third as wide as a chart.
    let all = ticks(longest);
    for seconds in all.iter().step_by(all.len().div_ceil(4).max(1)) {
        let (x, y) = at(*seconds, 0.0);
        panel.draw(&PathElement::new([(x, y), (x, y + 8)], GRID.sentinel.stroke_width(2)))?;
        panel.draw(&Text::new(clock(*seconds), (x, y + 14), text(HPos::Center, VPos::Top)))?;
    }
    for (index, line) in lines.iter().enumerate() {
        let width = if line.role.class.starts_with(POLICY.class) { 6 } else { 5 };
        chart.draw_series(LineSeries::new(curve(&line.samples), mark(first + index).stroke_width(width)))?;
    }
    for line in lines {
        for (x, y) in unrecovered(&line.samples) {
            let (x, y) = chart.plotting_area().map_coordinate(&(x, y));
            panel.draw(&PathElement::new(
                [(x - base_x, y - base_y - 10), (x - base_x, y - base_y + 10)],
                line.role.sentinel.stroke_width(4),
            ))?;
        }
    }
    Ok(())
}

/// The share of runs that had recovered, as steps from the start to the last time that is known of.
fn curve(samples: &[Sample]) -> Vec<(f64, f64)> {
    let mut steps = vec![(0.0, 0.0)];
    let mut share = 0.0;
    for step in kaplan_meier(samples) {
        steps.push((step.at, share));
        share = 1.0 - step.share;
        steps.push((step.at, share));
    }
    let last = samples.iter().map(|sample| sample.value).fold(0.0, f64::max);
    steps.push((last, share));
    steps
}

/// Where on the curve runs ended that had not recovered.
fn unrecovered(samples: &[Sample]) -> Vec<(f64, f64)> {
    let curve = kaplan_meier(samples);
    let share_at = |time: f64| curve.iter().take_while(|step| step.at <= time).last().map_or(0.0, |step| 1.0 - step.share);
    samples.iter().filter(|sample| sample.censored).map(|sample| (sample.value, share_at(sample.value))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    fn samples(times: &[f64]) -> Vec<Sample> {
        times.iter().map(|time| Sample { value: time.abs(), censored: *time < 0.0 }).collect()
    }

    #[test]
    fn a_curve_steps_up_where_runs_recover_and_a_run_that_ends_first_is_no_recovery() {
        let found = curve(&samples(&[1.0, -2.0, 3.0, 5.0]));
        assert_eq!(found, [(0.0, 0.0), (1.0, 0.0), (1.0, 0.25), (3.0, 0.25), (3.0, 0.625), (5.0, 0.625), (5.0, 1.0), (5.0, 1.0)]);
        assert_eq!(unrecovered(&samples(&[1.0, -2.0, 3.0, 5.0])), [(2.0, 0.25)]);
        assert_eq!(curve(&samples(&[-4.0])), [(0.0, 0.0), (4.0, 0.0)], "flat, to the end of what was watched");
    }

    #[test]
    fn each_class_with_a_fault_is_a_panel_and_each_line_says_its_figures() {
        let cases = sample::cases();
        let class = |name: &str| {
            let own: Vec<_> = cases.iter().filter(|case| case.class.as_str() == name).collect();
            RecoveryClass { name: &own[0].class, policies: vec![("restart", own.iter().map(|case| &case.outcome).collect())] }
        };
        let drawn = recoveries(&[class("calm"), class("crash-loop"), class("retry-storm")]).unwrap();
        assert!(!drawn.contains("calm"), "nothing has to recover there");
        for told in
            ["<g class=\"s-policy\"><title>retry-storm, restart: half recovered within ", "retry-storm, doing nothing: ", "an oracle: "]
        {
            assert!(drawn.contains(told), "{told}\n{drawn}");
        }
        assert!(drawn.contains("ended before they had recovered"), "{drawn}");
        assert!(!drawn.contains("\"#"), "a colour that is no class");
        assert_eq!(recoveries(&[class("calm")]), None);
        let figures = recovery_figures(&[class("calm"), class("crash-loop"), class("retry-storm")]).unwrap();
        assert!(figures.rows.iter().all(|row| row.len() == figures.columns.len() && row[0] != "calm"), "{figures:?}");
        for row in &figures.rows {
            let told = format!("{}, {}: half recovered within {}, nine of ten within {} (n = ", row[0], row[1], row[2], row[3]);
            assert!(drawn.contains(&told), "the chart and its table say the same: {told}");
        }
        assert_eq!(recovery_figures(&[class("calm")]), None);
    }
}
