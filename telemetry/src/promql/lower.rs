//! From the parser's tree to a plan.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use promql_parser::label as parsed_label;
use promql_parser::parser as parsed;

use super::functions;
use super::group::LabelSubset;
use super::parameters::{experimental, misplaced, parameter_of, pattern_of, prepare, unmark};
use super::plan::{
    Aggregation, AggregationOperator, At, Binary, BinaryOperator, Call, Function, LabelJoin, LabelReplace, Many, Matching, Moment, Node,
    ParameterMatcher, Plan, PlanError, Selector, Subquery,
};
use crate::labels::{METRIC_NAME, MatchOp, Matcher, anchored};

/// The step of a subquery that names none, milliseconds: Prometheus takes its evaluation interval, whose default is a minute.
const DEFAULT_SUBQUERY_STEP_MS: i64 = 60_000;

impl Plan {
    /// Reads an expression without parameters.
    ///
    /// # Errors
    /// The text is no PromQL, or uses what cannot be evaluated yet.
    pub fn parse(text: &str) -> Result<Plan, PlanError> {
        plan(text, false)
    }

    /// Reads an expression in which `$name`, outside string literals, stands for the value of a label: `up{service=$service} < 1`.
    ///
    /// # Errors
    /// As [`Plan::parse`]; or a parameter stands anywhere but after `=` or `!=` in a matcher.
    pub fn parse_with_parameters(text: &str) -> Result<Plan, PlanError> {
        plan(text, true)
    }
}

fn plan(text: &str, parameters: bool) -> Result<Plan, PlanError> {
    let prepared = prepare(text, parameters)?;
    let expression = parsed::parse(&prepared).map_err(|message| match experimental(&prepared) {
        Some(construct) => unsupported(construct),
        None => wrong(one_line(&unmark(&message))),
    })?;
    let mut lowering = Lowering { selectors: Vec::new(), around_ms: 0 };
    let root = lowering.node(&expression)?;
    let drops_at_once = tells_names_apart(text, &lowering.selectors);
    Ok(Plan { text: text.trim().into(), root: Arc::new(root), selectors: lowering.selectors, drops_at_once })
}

fn wrong(message: impl Into<String>) -> PlanError {
    PlanError::Parse { message: message.into() }
}

fn unsupported(construct: impl Into<String>) -> PlanError {
    PlanError::Unsupported { construct: construct.into() }
}

fn one_line(message: &str) -> String {
    message.split_whitespace().collect::<Vec<_>>().join(" ")
}

struct Lowering {
    selectors: Vec<Selector>,
    /// What the subqueries around the current node add to the lookback, milliseconds.
    around_ms: i64,
}

impl Lowering {
    fn node(&mut self, expression: &parsed::Expr) -> Result<Node, PlanError> {
        match expression {
            parsed::Expr::Paren(paren) => self.node(&paren.expr),
            parsed::Expr::NumberLiteral(number) => Ok(Node::Number(number.val)),
            parsed::Expr::StringLiteral(text) => Ok(Node::Text(plain(&text.val)?)),
            parsed::Expr::VectorSelector(selector) => Ok(Node::Instant(self.selector(selector, None)?)),
            parsed::Expr::MatrixSelector(matrix) => Ok(Node::Range(self.selector(&matrix.vs, Some(matrix.range))?)),
            parsed::Expr::Subquery(subquery) => self.subquery(subquery),
            parsed::Expr::Unary(unary) => Ok(Node::Negation(Box::new(self.node(&unary.expr)?))),
            parsed::Expr::Call(call) => self.call(call),
            parsed::Expr::Aggregate(aggregate) => self.aggregation(aggregate),
            parsed::Expr::Binary(binary) => self.binary(binary),
            parsed::Expr::Extension(extension) => Err(unsupported(extension.expr.name())),
        }
    }

    fn selector(&mut self, selector: &parsed::VectorSelector, range: Option<Duration>) -> Result<usize, PlanError> {
        if !selector.matchers.or_matchers.is_empty() {
            return Err(unsupported("`or` between matchers"));
        }
        let mut matchers = Vec::new();
        let mut parameters = Vec::new();
        if let Some(name) = &selector.name {
            matchers.push(Matcher::equal(METRIC_NAME, plain(name)?));
        }
        for matcher in &selector.matchers.matchers {
            let equal = matches!(matcher.op, parsed_label::MatchOp::Equal);
            match parameter_of(&matcher.value) {
                None => matchers.push(lower_matcher(matcher)?),
                Some(parameter) if equal || matches!(matcher.op, parsed_label::MatchOp::NotEqual) => {
                    let (label, parameter) = (matcher.name.as_str().into(), parameter.into());
                    parameters.push(ParameterMatcher { label, equal, parameter });
                }
                Some(parameter) => {
                    return Err(wrong(format!(
                        "${parameter} stands for the value of a label, so it needs `=` or `!=`, not `{}`",
                        matcher.op
                    )));
                }
            }
        }
        // The parser has asked this of the other matchers, but it sees no patterns.
        if matchers.iter().all(|matcher| matcher.matches("")) && !parameters.iter().any(|parameter| parameter.equal) {
            return Err(wrong("vector selector must contain at least one non-empty matcher"));
        }
        let moment = moment(selector.offset.as_ref(), selector.at.as_ref())?;
        let range_ms = range.map(milliseconds).transpose()?;
        self.selectors.push(Selector { matchers: matchers.into(), parameters, range_ms, moment, around_ms: self.around_ms });
        Ok(self.selectors.len() - 1)
    }

    fn subquery(&mut self, subquery: &parsed::SubqueryExpr) -> Result<Node, PlanError> {
        let range_ms = milliseconds(subquery.range)?;
        let step_ms = subquery.step.map(milliseconds).transpose()?.unwrap_or(DEFAULT_SUBQUERY_STEP_MS);
        if step_ms <= 0 {
            return Err(wrong("the step of a subquery must be positive"));
        }
        let moment = moment(subquery.offset.as_ref(), subquery.at.as_ref())?;
        let outside_ms = self.around_ms;
        self.around_ms = match moment.at {
            None => outside_ms.saturating_add(range_ms).saturating_add(moment.offset_ms),
            Some(_) => i64::MAX,
        };
        let inner = self.node(&subquery.expr)?;
        self.around_ms = outside_ms;
        Ok(Node::Subquery(Box::new(Subquery { inner, range_ms, step_ms, step_is_default: subquery.step.is_none(), moment })))
    }

    fn call(&mut self, call: &parsed::Call) -> Result<Node, PlanError> {
        let name = call.func.name;
        let written = &call.args.args;
        let (function, vectors) = match name {
            "label_replace" => (Function::LabelReplace(Box::new(label_replace(written)?)), 1),
            "label_join" => (Function::LabelJoin(Box::new(label_join(written)?)), 1),
            _ => (functions::named(name).ok_or_else(|| unsupported(format!("{name}()")))?, written.len()),
        };
        let arguments = written[..vectors].iter().map(|argument| self.node(argument)).collect::<Result<_, _>>()?;
        Ok(Node::Call(Box::new(Call { function, arguments })))
    }

    fn aggregation(&mut self, aggregate: &parsed::AggregateExpr) -> Result<Node, PlanError> {
        let mut subset = match &aggregate.modifier {
            None => LabelSubset::only([]),
            Some(parsed::LabelModifier::Include(labels)) => LabelSubset::only(names(labels)),
            Some(parsed::LabelModifier::Exclude(labels)) => LabelSubset::nameless_but(names(labels)),
        };
        let mut parameter = aggregate.param.as_ref().map(|parameter| self.node(parameter)).transpose()?;
        let operator = match aggregate.op.to_string().as_str() {
            "sum" => AggregationOperator::Sum,
            "avg" => AggregationOperator::Average,
            "min" => AggregationOperator::Minimum,
            "max" => AggregationOperator::Maximum,
            "count" => AggregationOperator::Count,
            "group" => AggregationOperator::Group,
            "stddev" => AggregationOperator::Deviation,
            "stdvar" => AggregationOperator::Variance,
            "topk" => AggregationOperator::Top,
            "bottomk" => AggregationOperator::Bottom,
            "quantile" => AggregationOperator::Quantile,
            "count_values" => {
                let Some(Node::Text(label)) = parameter.take() else { return Err(wrong("count_values needs the name of a label first")) };
                if label.is_empty() {
                    return Err(wrong("count_values cannot write a label without a name"));
                }
                if subset.is_include() {
                    subset.add(label.clone());
                }
                AggregationOperator::CountValues(label)
            }
            other => return Err(unsupported(format!("{other}()"))),
        };
        let inner = self.node(&aggregate.expr)?;
        Ok(Node::Aggregation(Box::new(Aggregation { operator, subset, parameter, inner })))
    }

    fn binary(&mut self, binary: &parsed::BinaryExpr) -> Result<Node, PlanError> {
        let symbol = binary.op.to_string();
        let operator = operator(&symbol).ok_or_else(|| unsupported(format!("the operator {symbol}")))?;
        let mut matching = Matching { subset: LabelSubset::nameless_but([]), many: Many::Neither, taken: Vec::new() };
        let mut yields_bool = false;
        if let Some(modifier) = &binary.modifier {
            if modifier.fill_values.lhs.is_some() || modifier.fill_values.rhs.is_some() {
                return Err(unsupported("fill()"));
            }
            yields_bool = modifier.return_bool;
            matching.subset = match &modifier.matching {
                None => matching.subset,
                Some(parsed::LabelModifier::Include(labels)) => LabelSubset::only(names(labels)),
                Some(parsed::LabelModifier::Exclude(labels)) => LabelSubset::nameless_but(names(labels)),
            };
            (matching.many, matching.taken) = match &modifier.card {
                parsed::VectorMatchCardinality::ManyToOne(labels) => (Many::Left, names(labels).collect()),
                parsed::VectorMatchCardinality::OneToMany(labels) => (Many::Right, names(labels).collect()),
                parsed::VectorMatchCardinality::OneToOne | parsed::VectorMatchCardinality::ManyToMany => (Many::Neither, Vec::new()),
            };
        }
        let (left, right) = (self.node(&binary.lhs)?, self.node(&binary.rhs)?);
        Ok(Node::Binary(Box::new(Binary { operator, yields_bool, left, right, matching })))
    }
}

fn lower_matcher(matcher: &parsed_label::Matcher) -> Result<Matcher, PlanError> {
    let (value, is_pattern) = pattern_of(&matcher.value).map_or((matcher.value.as_str(), false), |pattern| (pattern, true));
    let op = match matcher.op {
        parsed_label::MatchOp::Equal if is_pattern => MatchOp::Matches(regex(value)?),
        parsed_label::MatchOp::NotEqual if is_pattern => MatchOp::MatchesNot(regex(value)?),
        parsed_label::MatchOp::Equal => MatchOp::Equal,
        parsed_label::MatchOp::NotEqual => MatchOp::NotEqual,
        // With a comment before the pattern, so that it bears no mark.
        parsed_label::MatchOp::Re(_) => MatchOp::Matches(regex(value)?),
        parsed_label::MatchOp::NotRe(_) => MatchOp::MatchesNot(regex(value)?),
    };
    Ok(Matcher { name: plain(&matcher.name)?, op, value: value.into() })
}

fn regex(pattern: &str) -> Result<regex::Regex, PlanError> {
    anchored(pattern).map_err(|error| wrong(error.to_string()))
}

/// A text of the expression in which no parameter may stand.
fn plain(text: &str) -> Result<Arc<str>, PlanError> {
    match parameter_of(text) {
        None => Ok(text.into()),
        Some(parameter) => Err(misplaced(parameter)),
    }
}

fn names(labels: &parsed_label::Labels) -> impl Iterator<Item = Arc<str>> {
    labels.labels.iter().map(|label| Arc::from(label.as_str()))
}

fn moment(offset: Option<&parsed::Offset>, at: Option<&parsed::AtModifier>) -> Result<Moment, PlanError> {
    let offset_ms = match offset {
        None => 0,
        Some(parsed::Offset::Pos(span)) => milliseconds(*span)?,
        Some(parsed::Offset::Neg(span)) => -milliseconds(*span)?,
    };
    let far = |_| wrong("a moment over a thousand years away from 1970");
    let at = match at {
        None => None,
        Some(parsed::AtModifier::Start) => Some(At::Start),
        Some(parsed::AtModifier::End) => Some(At::End),
        Some(parsed::AtModifier::At(time)) => Some(At::Time(match time.duration_since(UNIX_EPOCH) {
            Ok(after) => milliseconds(after).map_err(far)?,
            Err(before) => -milliseconds(before.duration()).map_err(far)?,
        })),
    };
    Ok(Moment { offset_ms, at })
}

/// Spans over a thousand years are refused, so that sums of a few of them cannot overflow.
fn milliseconds(span: Duration) -> Result<i64, PlanError> {
    let milliseconds = i64::try_from(span.as_millis()).ok().filter(|milliseconds| *milliseconds <= 1_000 * 366 * 86_400_000);
    milliseconds.ok_or_else(|| wrong("a duration is longer than a thousand years"))
}

fn operator(symbol: &str) -> Option<BinaryOperator> {
    use BinaryOperator as Op;
    let all = [
        Op::Add,
        Op::Subtract,
        Op::Multiply,
        Op::Divide,
        Op::Modulo,
        Op::Power,
        Op::Atan2,
        Op::Equal,
        Op::NotEqual,
        Op::Greater,
        Op::Less,
        Op::GreaterOrEqual,
        Op::LessOrEqual,
        Op::And,
        Op::Or,
        Op::Unless,
    ];
    all.into_iter().find(|operator| operator.symbol() == symbol)
}

fn label_replace(arguments: &[Box<parsed::Expr>]) -> Result<LabelReplace, PlanError> {
    let text = |index: usize| literal("label_replace", arguments, index);
    Ok(LabelReplace {
        destination: destination("label_replace", &text(1)?)?,
        replacement: text(2)?,
        source: text(3)?,
        pattern: regex(&text(4)?)?,
    })
}

fn label_join(arguments: &[Box<parsed::Expr>]) -> Result<LabelJoin, PlanError> {
    let text = |index: usize| literal("label_join", arguments, index);
    let sources: Vec<Arc<str>> = (3..arguments.len()).map(text).collect::<Result<_, _>>()?;
    if sources.iter().any(|source| source.is_empty()) {
        return Err(wrong("label_join cannot read a label without a name"));
    }
    Ok(LabelJoin { destination: destination("label_join", &text(1)?)?, separator: text(2)?, sources })
}

/// A label that a function writes. Prometheus 3 takes any UTF-8 name; only the empty one is refused.
fn destination(function: &str, label: &str) -> Result<Arc<str>, PlanError> {
    if label.is_empty() {
        return Err(wrong(format!("{function} cannot write a label without a name")));
    }
    Ok(label.into())
}

fn literal(function: &str, arguments: &[Box<parsed::Expr>], index: usize) -> Result<Arc<str>, PlanError> {
    let mut argument = arguments.get(index).map(|argument| &**argument);
    while let Some(parsed::Expr::Paren(paren)) = argument {
        argument = Some(&paren.expr);
    }
    match argument {
        Some(parsed::Expr::StringLiteral(text)) => plain(&text.val),
        _ => Err(wrong(format!("{function} needs a text as its argument {}", index + 1))),
    }
}

/// Whether it can matter when an operation takes names away: an expression speaks of names, a selector finds series of several, or a subquery
/// may gather elements of several.
fn tells_names_apart(text: &str, selectors: &[Selector]) -> bool {
    let name = |selector: &Selector| {
        let named = |matcher: &&Matcher| *matcher.name == *METRIC_NAME && matches!(matcher.op, MatchOp::Equal) && !matcher.value.is_empty();
        selector.matchers.iter().find(named).map(|matcher| matcher.value.clone())
    };
    let names: Option<BTreeSet<_>> = selectors.iter().map(name).collect();
    let has_subquery = text.split('[').skip(1).any(|rest| rest.split(']').next().is_some_and(|range| range.contains(':')));
    text.contains(METRIC_NAME) || names.is_none_or(|names| has_subquery && names.len() > 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_refused(text: &str, message: &str) {
        assert_eq!(Plan::parse_with_parameters(text).expect_err("refused").to_string(), message);
    }

    #[test]
    fn what_cannot_be_evaluated_yet_is_named() {
        check_refused("histogram_count(x)", "histogram_count() cannot be evaluated yet");
        check_refused("limitk(2, x)", "limitk() cannot be evaluated yet");
        check_refused("mad_over_time(x[5m])", "mad_over_time() cannot be evaluated yet");
        check_refused("x + fill(0) y", "fill() cannot be evaluated yet");
        check_refused("rate(x[5m] anchored)", "the modifier anchored cannot be evaluated yet");
        check_refused("x smoothed", "the modifier smoothed cannot be evaluated yet");
        check_refused("x </ 2", "the operator </ cannot be evaluated yet");
        check_refused("rate(x[5m + 1m])", "a duration that is an expression cannot be evaluated yet");
        check_refused("rate(x[step() * 2:1m])", "a duration that is an expression cannot be evaluated yet");
        check_refused("x offset (1m + 30s)", "a duration that is an expression cannot be evaluated yet");
        check_refused("x{a=\"1\" or b=\"2\"}", "`or` between matchers cannot be evaluated yet");
    }

    #[test]
    fn what_is_no_promql_is_refused() {
        check_refused("sum(up", "unclosed left parenthesis");
        check_refused("x{a=~\"(\"}", "the regular expression `(` is wrong: unclosed group");
        check_refused(r#"{a=~".*",b!~".+",c!="d"}"#, "vector selector must contain at least one non-empty matcher");
        check_refused(r#"x{__name__=~"y"}"#, r#"metric name must not be set twice: "x" or "y""#);
        check_refused("x offset 2000y", "the duration `2000y` is no duration of at most 292 years");
        check_refused("label_replace(x, \"\", \"\", \"\", \"\")", "label_replace cannot write a label without a name");
        check_refused("label_join(x, \"a\", \"\", \"\")", "label_join cannot read a label without a name");
        check_refused("count_values(\"\", x)", "count_values cannot write a label without a name");
        check_refused("label_replace(x, $a, \"\", \"\", \"\")", "$a can only stand for the value of a label, as in {service=$a}");
        check_refused("x > $limit", "$limit can only stand for the value of a label, as in {service=$limit}");
    }

    #[test]
    fn patterns_are_gos_and_not_the_parsers() {
        for pattern in [r"\\Qa.b\\E", "[a[b]", "a{,3}", r"\\101"] {
            let told = format!(r#"{{x=~"{pattern}"}}"#);
            Plan::parse(&told).expect(&told);
            Plan::parse(&format!(r#"y{{x!~ '{pattern}'}}"#)).expect(&told);
        }
        let plan = Plan::parse("{a=~\"b|c\",d !~ `e.*`}").expect("a plan");
        let told: Vec<String> = plan.selectors()[0].matchers().iter().map(|matcher| matcher.to_string()).collect();
        assert_eq!(told, [r#"a=~"b|c""#, r#"d!~"e.*""#]);
    }

    #[track_caller]
    fn check_lookback(text: &str, expected_s: i64) {
        assert_eq!(Plan::parse(text).expect("a plan").longest_lookback_ms(), expected_s.saturating_mul(1_000));
    }

    #[test]
    fn the_lookback_covers_ranges_offsets_and_subqueries() {
        check_lookback("1", 0);
        check_lookback("up", 300);
        check_lookback("rate(x[10m]) > up", 600);
        check_lookback("up offset 1h", 3_900);
        check_lookback("up offset -1h", 0);
        check_lookback("max_over_time(rate(x[5m] offset 1m)[1h:1m] offset 1d)", 86_400 + 3_600 + 360);
        assert_eq!(Plan::parse("up @ 100").expect("a plan").longest_lookback_ms(), i64::MAX);
    }

    #[test]
    fn selectors_tell_what_an_expression_reads() {
        let plan = Plan::parse(r#"sum(rate(a{x="1"}[5m])) / on () b offset 1m > 2"#).expect("a plan");
        let told: Vec<_> = plan.selectors().iter().map(|s| (s.metric(), s.range_ms(), s.offset_ms(), s.matchers().len())).collect();
        assert_eq!(told, [(Some("a"), Some(300_000), 0, 2), (Some("b"), None, 60_000, 1)]);
    }
}
