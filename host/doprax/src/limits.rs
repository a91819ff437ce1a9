//! The limits of the ingress, as help shows them.

use doprax_reconcile::limits::LIMITS;

/// All limits with their defaults, as a table under a heading.
pub(crate) fn table() -> String {
    let width = |texts: &mut dyn Iterator<Item = usize>| texts.max().unwrap_or(0);
    let names = width(&mut LIMITS.iter().map(|limit| limit.name.len()));
    let values = width(&mut LIMITS.iter().map(|limit| limit.usual().len()));
    let line = |limit: &doprax_reconcile::limits::Limit| {
        let (name, value, meaning) = (limit.name, limit.usual(), limit.meaning);
        format!("  {name:names$}  {value:>values$}  {meaning}")
    };
    let lines: Vec<String> = LIMITS.iter().map(line).collect();
    format!("Limits and their defaults:\n{}", lines.join("\n"))
}
