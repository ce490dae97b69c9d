//! What a query has done, for whoever wants to know why it takes as long as it does.

use super::planner::PlanKind;

/// How a query was answered and what that cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// How the documents were found.
    pub plan: PlanKind,
    /// The indexes that were used, the most selective first; none for a scan.
    pub indexes: Vec<String>,
    /// The index, or the store, was walked backwards.
    pub reverse: bool,
    /// The order came by sorting in memory.
    pub sorted: bool,
    /// Rows of indexes that were read.
    pub index_rows_read: u64,
    /// Documents that were read.
    pub documents_read: u64,
    /// Rows that were looked at to choose between plans.
    pub rows_sampled: u64,
    /// What the query gave.
    pub rows_returned: u64,
}

impl Explanation {
    /// Everything that was read.
    #[must_use]
    pub fn rows_read(&self) -> u64 {
        self.index_rows_read + self.documents_read + self.rows_sampled
    }
}
