//! PromQL with the semantics of Prometheus 3, on float samples: parsed once into a plan, evaluated as often as wanted.
//!
//! Modules are listed in reading order; each uses only what came before it.

mod sum;
mod value;
mod group;
mod calendar;
mod annotation;
mod window;
mod plan;
mod parameters;
mod functions;
mod lower;
mod histogram;
mod labelling;
mod aggregate;
mod binary;
mod evaluator;
mod compiled;
mod truth;
mod condition;
mod formula;
mod inquiry;
mod bounds;
mod emptiness;
mod habit;
mod mistake;

pub use annotation::{Annotation, Level, Raised};
pub use bounds::Contradiction;
pub use compiled::{Answer, Elements, Machine, Program, QueryId};
pub use condition::{Aged, Condition, ConditionError, Judgement, PreparedCondition};
pub use emptiness::{Cause, Presence, Prospect};
pub use evaluator::{Evaluated, Evaluator, Steps};
pub use formula::{Formula, FormulaError, PreparedFormula};
pub use habit::{Habit, LabelsOf, MadeFor, Source, Windowed};
pub use inquiry::Inquiry;
pub use mistake::Mistake;
pub use plan::{At, LOOKBACK_MS, MissingParameter, Plan, PlanError, Selector};
pub use truth::{JudgedElement, Verdict3};
pub use value::{EvalError, Sample, SeriesSamples, Value, written};
