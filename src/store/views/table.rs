//! Tables that are written by whole rows.

use deadpool_postgres::Transaction;
use jiff::Timestamp;
use tokio_postgres::types::ToSql;

/// A column: its name, the type of the values that are sent, and what becomes of them (`$` is the value).
pub(super) struct Column(pub &'static str, pub &'static str, pub &'static str);

/// A table and how its rows are written.
pub(super) struct Table {
    pub name: &'static str,
    /// How many of the first columns are the primary key.
    pub keys: usize,
    pub columns: &'static [Column],
}

/// Values of one column, one a row.
pub(super) type Values = Box<dyn ToSql + Sync + Send>;

impl Table {
    /// Inserts rows, or replaces those that differ. Says how many were written.
    pub(super) async fn replace(
        &self,
        transaction: &Transaction<'_>,
        values: &[Values],
    ) -> Result<u64, tokio_postgres::Error> {
        self.insert(transaction, &self.on_difference(""), "", "", &parameters(values))
            .await
    }

    /// The same, and notes in `updated_at` when rows were written.
    pub(super) async fn replace_at(
        &self,
        transaction: &Transaction<'_>,
        values: &[Values],
        now: Timestamp,
    ) -> Result<u64, tokio_postgres::Error> {
        let mut values = parameters(values);
        let stamp = format!(", ${}::timestamptz", values.len() + 1);
        values.push(&now);
        let update = self.on_difference(", updated_at = excluded.updated_at");
        self.insert(transaction, &update, ", updated_at", &stamp, &values)
            .await
    }

    fn on_difference(&self, also: &str) -> String {
        let rest = &self.columns[self.keys..];
        let list = |of: &dyn Fn(&str) -> String| {
            rest.iter()
                .map(|column| of(column.0))
                .collect::<Vec<_>>()
                .join(", ")
        };
        format!(
            "DO UPDATE SET {}{also} WHERE ({}) IS DISTINCT FROM ({})",
            list(&|name| format!("{name} = excluded.{name}")),
            list(&|name| format!("{}.{name}", self.name)),
            list(&|name| format!("excluded.{name}")),
        )
    }

    /// Adds numbers to those that are there.
    pub(super) async fn add(
        &self,
        transaction: &Transaction<'_>,
        values: &[Values],
    ) -> Result<u64, tokio_postgres::Error> {
        let sums: Vec<_> = self.columns[self.keys..]
            .iter()
            .map(|column| format!("{0} = {1}.{0} + excluded.{0}", column.0, self.name))
            .collect();
        let update = format!("DO UPDATE SET {}", sums.join(", "));
        self.insert(transaction, &update, "", "", &parameters(values))
            .await
    }

    /// `also` and `also_made`: a column besides, and its value, each with a comma before it.
    async fn insert(
        &self,
        transaction: &Transaction<'_>,
        on_conflict: &str,
        also: &str,
        also_made: &str,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<u64, tokio_postgres::Error> {
        let names: Vec<_> = self.columns.iter().map(|column| column.0).collect();
        let arrays: Vec<_> = self
            .columns
            .iter()
            .enumerate()
            .map(|(index, column)| format!("${}::{}[]", index + 1, column.1))
            .collect();
        let made: Vec<_> = self
            .columns
            .iter()
            .map(|column| column.2.replace('$', &format!("t.{}", column.0)))
            .collect();
        let statement = format!(
            "INSERT INTO {} ({names}{also}) SELECT {}{also_made} FROM unnest({}) AS t ({names}) ON CONFLICT ({}) {on_conflict}",
            self.name,
            made.join(", "),
            arrays.join(", "),
            names[..self.keys].join(", "),
            names = names.join(", "),
        );
        let statement = transaction.prepare_cached(&statement).await?;
        transaction.execute(&statement, values).await
    }

    /// Deletes rows by their keys, as far as `condition` holds.
    pub(super) async fn delete(
        &self,
        transaction: &Transaction<'_>,
        values: &[Values],
        condition: &str,
    ) -> Result<u64, tokio_postgres::Error> {
        let keys = &self.columns[..self.keys];
        let names: Vec<_> = keys.iter().map(|column| column.0).collect();
        let arrays: Vec<_> = keys
            .iter()
            .enumerate()
            .map(|(index, column)| format!("${}::{}[]", index + 1, column.1))
            .collect();
        let same: Vec<_> = names
            .iter()
            .map(|name| format!("{0}.{name} = t.{name}", self.name))
            .collect();
        let statement = format!(
            "DELETE FROM {} USING unnest({}) AS t ({}) WHERE {} AND {condition}",
            self.name,
            arrays.join(", "),
            names.join(", "),
            same.join(" AND ")
        );
        let statement = transaction.prepare_cached(&statement).await?;
        transaction
            .execute(&statement, &parameters(&values[..self.keys]))
            .await
    }
}

fn parameters(values: &[Values]) -> Vec<&(dyn ToSql + Sync)> {
    values
        .iter()
        .map(|values| values.as_ref() as &(dyn ToSql + Sync))
        .collect()
}

/// The values of one column.
pub(super) fn column<R, T>(rows: &[R], value: impl Fn(&R) -> T) -> Values
where
    Vec<T>: ToSql + Sync + Send + 'static,
{
    Box::new(rows.iter().map(value).collect::<Vec<_>>())
}
