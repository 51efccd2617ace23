"""One condition over the rows of any table, in the language of rules: row-wise, repeatable, locked in."""

import duckdb
import pyarrow as pa

from filters.expressions import ExpressionReader, RefusedExpressionError, locked_connection

_TABLE = "rows_to_judge"


class RowCondition:
    """An SQL condition over columns of `schema`. Raises RefusedExpressionError for what is none."""

    def __init__(self, expression: str, schema: pa.Schema) -> None:
        self._expression = expression
        self._connection = locked_connection()
        self.columns = ExpressionReader(self._connection).columns_of(expression, schema.names)
        self._check_type(schema)

    def holds(self, table: pa.Table) -> pa.ChunkedArray:
        """For each row whether the condition is TRUE of it; null counts as false."""
        self._connection.register(_TABLE, table)
        try:
            query = f"SELECT TRY(({self._expression})) IS TRUE AS verdict FROM {_TABLE}"
            return self._connection.sql(query).to_arrow_table()["verdict"]
        finally:
            self._connection.unregister(_TABLE)

    def _check_type(self, schema: pa.Schema) -> None:
        """Binds against the empty typed table, which finds wrong types and wrong arguments too."""
        self._connection.register(_TABLE, schema.empty_table())
        try:
            query = f"DESCRIBE SELECT TRY(({self._expression})) AS verdict FROM {_TABLE}"
            found = self._connection.execute(query).fetchall()[0][1]
        except duckdb.Error as error:
            raise RefusedExpressionError(f"cannot be evaluated: {str(error).strip().splitlines()[0]}") from None
        finally:
            self._connection.unregister(_TABLE)
        if found != "BOOLEAN":
            raise RefusedExpressionError(f"is {found}, expected a BOOLEAN condition such as fetch_status = 200")
