"""The contents of each clause of a query, as bags of short texts independent of aliases, case and order."""

from __future__ import annotations

from collections import ChainMap, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b

from sqlglot import exp

CLAUSES = (
    "tables", "columns", "joins", "predicates", "grouping", "ordering", "limit", "set_operations",
    "subqueries", "aggregates",
)  # fmt: skip
Bag = Mapping[str, int]
"""Text -> how often it occurs."""
ClauseBags = Mapping[str, Bag]
"""Clause -> its contents."""

MAX_NODES = 20_000
"""Most nodes that are read of one query. Each is read once, so a query of ``parse.MAX_TOKENS`` has fewer."""
MAX_TEXT = 200
"""Characters from which on the text of an expression is replaced by its digest."""
_NESTED = (exp.Subquery, exp.Query)
_CONNECTORS = (exp.And, exp.Or)
_COMMUTATIVE = (exp.EQ, exp.NEQ, exp.Add, exp.Mul)
_MIRRORED: Mapping[type[exp.Expr], str] = {exp.GT: "lt", exp.GTE: "lte"}
_COMPARISONS = (
    exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.Like, exp.ILike, exp.In, exp.Between, exp.Is,
)  # fmt: skip


@dataclass(frozen=True)
class Scope:
    """The meaning of names inside one SELECT."""

    tables: ChainMap[str, str] = field(default_factory=ChainMap)
    """Alias -> table; "" for a derived table or a common table expression."""
    common: frozenset[str] = frozenset()
    """Names of common table expressions."""
    outputs: Mapping[str, str] = field(default_factory=dict)
    """Alias of an output column -> the text of its expression."""
    only: str | None = None
    """The table of FROM, where there is exactly one."""


def clause_bags(tree: exp.Query) -> ClauseBags:
    """The contents of each clause, of the query and all its subqueries together.

    Takes time linear in the size of the tree. Raises OverflowError where that has over MAX_NODES nodes.
    """
    reader = ClauseReader()
    reader.query(tree, Scope())
    return {clause: dict(bag) for clause, bag in reader.bags.items()}


class ClauseReader:
    """One walk over one query, which counts the nodes that it reads."""

    def __init__(self) -> None:
        self.bags: dict[str, dict[str, int]] = {clause: defaultdict(int) for clause in CLAUSES}
        self.nodes = 0
        self._projected: dict[int, str] = {}
        """Text of each projection by the id of its node: ORDER BY 1 must not read a subquery again."""

    def query(self, node: exp.Expr, outer: Scope) -> None:
        """Read a SELECT or a set operation, in parentheses or not."""
        scope = self._common_tables(node, outer)
        if isinstance(node, exp.Select):
            scope = self._sources(node, scope)
            scope = self._projections(node, scope)
            self._conditions(node, scope)
            if group := node.args.get("group"):
                selects = node.selects
                for term in group.expressions:
                    self.bags["grouping"][self._term(term, scope, selects)] += 1
        elif isinstance(node, exp.SetOperation):
            operation = node.key if node.args.get("distinct", True) else f"{node.key} all"
            self.bags["set_operations"][operation] += 1
            self.query(node.this, scope)
            self.query(node.expression, scope)
        elif isinstance(node, exp.Subquery):
            self.query(node.this, scope)
        self._order_and_limit(node, scope)

    def _common_tables(self, node: exp.Expr, outer: Scope) -> Scope:
        with_ = node.args.get("with_")
        if with_ is None:
            return outer
        names = outer.common | {cte.alias.lower() for cte in with_.expressions}
        scope = Scope(outer.tables, names)
        for cte in with_.expressions:
            self._subquery("from", cte.this, scope)
        return scope

    def _subquery(self, place: str, node: exp.Expr, scope: Scope) -> None:
        self.bags["subqueries"][place] += 1
        self.query(node, Scope(scope.tables, scope.common))

    def _sources(self, node: exp.Select, outer: Scope) -> Scope:
        """Count the tables of FROM and its joins, and resolve their aliases."""
        from_ = node.args.get("from_")
        joins = node.args.get("joins") or []
        sources = ([from_.this] if from_ else []) + [join.this for join in joins]
        own: dict[str, str] = {}
        for source in sources:
            own[source.alias_or_name.lower()] = self._source(source, outer)
        only = next(iter(own.values())) if len(sources) == 1 else None
        scope = Scope(outer.tables.new_child(own), outer.common, {}, only)
        before = next(iter(own.values()), "")
        for join in joins:
            self._join(join, before, scope)
        return scope

    def _source(self, source: exp.Expr, scope: Scope) -> str:
        if isinstance(source, exp.Table):
            name: str = source.name.lower()
            if name in scope.common:
                return ""
            self.bags["tables"][name] += 1
            return name
        if isinstance(source, exp.Subquery):
            self._subquery("from", source.this, scope)
        return ""

    def _join(self, join: exp.Join, before: str, scope: Scope) -> None:
        if join.side:
            self.bags["joins"][join.side.lower()] += 1
        for column in join.args.get("using") or []:
            name = column.name.lower()
            here = scope.tables.get(join.this.alias_or_name.lower(), "")
            self.bags["joins"]["=".join(sorted((f"{before}.{name}", f"{here}.{name}")))] += 1
        if on := join.args.get("on"):
            self._condition(on, scope, "")

    def _projections(self, node: exp.Select, scope: Scope) -> Scope:
        if node.args.get("distinct"):
            self.bags["columns"]["distinct"] += 1
        outputs = {}
        for projection in node.expressions:
            inner = projection.unalias()
            text = self._projected[id(inner)] = self._text(inner, scope)
            self.bags["columns"][self._located(inner, text, scope)] += 1
            if isinstance(projection, exp.Alias):
                outputs[projection.alias.lower()] = text
        return Scope(scope.tables, scope.common, outputs, scope.only)

    def _located(self, node: exp.Expr, text: str, scope: Scope) -> str:
        """``table.column`` for a plain column, ``.column`` where its table is not named, else the text."""
        if not isinstance(node, exp.Column):
            return text
        if node.table:
            return f"{scope.tables.get(node.table.lower(), '')}.{text}"
        return f"{scope.only or ''}.{text}"

    def _conditions(self, node: exp.Select, scope: Scope) -> None:
        if where := node.args.get("where"):
            self._condition(where.this, scope, "")
        if having := node.args.get("having"):
            self._condition(having.this, scope, "having ")

    def _condition(self, node: exp.Expr, scope: Scope, prefix: str) -> None:
        """Count each comparison by itself. One of columns of two tables counts as a join, also in WHERE."""
        pending = [node]
        while pending:
            part = pending.pop().unnest()
            if isinstance(part, _CONNECTORS):
                if isinstance(part, exp.Or):
                    self.bags["predicates"]["or"] += 1
                pending += [part.this, part.expression]
            elif isinstance(part, exp.EQ) and _is_join(part):
                sides = [self._located(side, side.name.lower(), scope) for side in part.iter_expressions()]
                self.bags["joins"]["=".join(sorted(sides))] += 1
            else:
                self.bags["predicates"][prefix + self._text(part, scope)] += 1

    def _order_and_limit(self, node: exp.Expr, scope: Scope) -> None:
        if order := node.args.get("order"):
            selects = node.selects if isinstance(node, exp.Query) else []
            for ordered in order.expressions:
                direction = "desc" if ordered.args.get("desc") else "asc"
                self.bags["ordering"][f"{self._term(ordered.this, scope, selects)} {direction}"] += 1
        for name in ("limit", "offset"):
            if clause := node.args.get(name):
                self.bags["limit"][self._composed(clause, scope)] += 1

    def _term(self, term: exp.Expr, scope: Scope, selects: Sequence[exp.Expr]) -> str:
        """The text of a term of GROUP BY or ORDER BY, which may be the number of an output column."""
        if isinstance(term, exp.Literal) and term.is_int:
            place = int(term.this) - 1
            if 0 <= place < len(selects):
                return self._projected.get(id(selects[place].unalias()), "")
        return self._text(term, scope)

    def _text(self, node: exp.Expr, scope: Scope) -> str:
        """An expression as a text that is the same for all equivalent forms that are recognized.

        A long text is replaced by its digest, so that the texts of nested expressions do not add up.
        """
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise OverflowError(f"over {MAX_NODES} nodes")
        if isinstance(node, exp.Column):
            name: str = node.name
            if _is_text(node):
                return f"'{name}'"
            return scope.outputs.get(name.lower(), name.lower()) if not node.table else name.lower()
        if isinstance(node, exp.Literal):
            return _short(f"'{node.this}'") if node.is_string else _number(node.this)
        if isinstance(node, exp.Paren):
            return self._text(node.this, scope)
        if isinstance(node, exp.Identifier):
            return str(node.this).lower()
        if isinstance(node, _NESTED):
            self._subquery(node.parent.key if node.parent else "", node.unnest(), scope)
            return "query"
        return self._composed(node, scope)

    def _composed(self, node: exp.Expr, scope: Scope) -> str:
        parts = []
        for value in node.args.values():
            for item in value if isinstance(value, list) else [value]:
                if isinstance(item, exp.Expr):
                    parts.append(self._text(item, scope))
                elif item:
                    parts.append(str(item).lower())
        name = node.key
        if type(node) in _MIRRORED:
            name, parts = _MIRRORED[type(node)], parts[::-1]
        elif isinstance(node, _COMMUTATIVE):
            parts.sort()
        elif isinstance(node, exp.In):
            parts[1:] = sorted(parts[1:])
        text = _short(f"{name}({','.join(parts)})")
        if isinstance(node, exp.AggFunc):
            self.bags["aggregates"][text] = 1
        return text


def _short(text: str) -> str:
    """The text, or its digest where it is long."""
    if len(text) <= MAX_TEXT:
        return text
    return blake2b(text.encode(errors="surrogatepass"), digest_size=16).hexdigest()


def _is_join(node: exp.EQ) -> bool:
    """Whether an equation compares two columns, so that it joins their tables."""
    left, right = node.this, node.expression
    return isinstance(left, exp.Column) and isinstance(right, exp.Column) and not _is_text(right)


def _is_text(column: exp.Column) -> bool:
    """Whether this is ``"text"`` to compare with: SQLite reads it so where no column has that name."""
    identifier = column.this
    quoted = isinstance(identifier, exp.Identifier) and identifier.quoted and not column.table
    return quoted and isinstance(column.parent, _COMPARISONS) and column.arg_key != "this"


def _number(text: str) -> str:
    """The same text for ``1``, ``1.0`` and ``01``."""
    if len(text) < 16 and text.isascii() and text.isdigit() and text[0] != "0":
        return text
    try:
        value = float(text)
    except ValueError:
        return text
    return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)
