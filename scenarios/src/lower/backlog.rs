//! Connections that wait to be accepted, with every default filled in.

use firedrill_core::yaml::Reader;
use firedrill_sim::spec::BacklogSpec;

use crate::defaults;
use crate::document::service::ServiceDocument;
use crate::lower::or;
use crate::problem;

/// Lowers the backlog of a service with so many places in its queue.
pub fn lower(reader: &mut Reader, service: &ServiceDocument, places: Option<u32>) -> Option<BacklogSpec> {
    let said = service.backlog.as_ref()?;
    let backlog = said.value.as_ref()?;
    if service.database.is_some() {
        let fault = "a database counts connections itself";
        reader.problem(problem::impossible(&said.place, fault, "say `max_connections` in its `database:`, and remove `backlog`"));
    } else if places.is_none() {
        let fault = "nobody is left to the backlog by a queue without a bound";
        reader.problem(problem::impossible(
            &said.place,
            fault,
            "say how long the `queue` of the process is, such as `queue: 0`, or remove `backlog`",
        ));
    }
    let granted = or(backlog.somaxconn.as_ref(), || defaults::count("backlog.somaxconn"));
    Some(BacklogSpec {
        length: backlog.length.min(granted),
        retry_after: or(backlog.retry_after.as_ref(), || defaults::span("backlog.retry_after")),
        retries: or(backlog.retries.as_ref(), || defaults::count("backlog.retries")),
    })
}
