package derive

// An Input is a query's resolved tree with what the catalogue says of its tables.
type Input struct {
	Query    *Query
	Names    []string        // of the placeholders; a placeholder is its index here
	Base     Table           // the transformation's table
	Declared map[uint32]bool // tables whose routes the developer gave: their leaves need none

	// Equal finds the equality of an operator family for two types, or nil.
	Equal func(family, left, right uint32) *Operator

	// Mutant turns one rule wrong. It is for tests that show that the judge notices; zero is right.
	Mutant Mutant
}

// A Type is a data type of the source.
type Type struct {
	ID       uint32
	Text     string // usable in a cast
	Identity bool   // values that its own equality calls equal have the same text
}

// A Collation is a collation of the source; nil stands for a type that has none.
type Collation struct {
	ID            uint32
	Text          string // usable after COLLATE
	Deterministic bool   // equal means identical
}

// An Operator is a strict equality of a btree or hash operator family.
type Operator struct {
	ID          uint32
	Text        string // usable between two operands
	Families    []uint32
	Left, Right uint32 // types of its operands
	Builtin     bool   // the source's own, so that Type.Identity speaks of it
	General     bool   // over all arrays, ranges, enums or rows: what is equal depends on the type at hand
}

// A Relation is a table as one place of the query reads it.
type Relation struct {
	Table   Table
	Only    bool // without partitions and children
	Columns map[int]*Column
	Keys    []Unique // none where rows of children count too, other than partitions
}

// A Column of a Relation.
type Column struct {
	Number    int
	Name      string
	Type      Type
	Collation *Collation
	NotNull   bool
	Generated bool // its images may lack it
}

// A Unique is a valid, non-partial unique index on plain columns.
type Unique struct {
	Primary    bool
	Columns    []int
	Types      []uint32 // of the columns
	Families   []uint32
	Collations []*Collation
}

// A Query is one level of SELECT.
type Query struct {
	Outputs    []*Target // by position, without columns that are only sorted by
	From       *From     // nil without FROM
	Where      *Expr
	Group      []Grouping
	GroupSets  bool
	Aggregates bool // or a HAVING
	Windows    [][]Grouping
	Distinct   []Grouping
	DistinctOn bool
	Limit      bool // LIMIT or OFFSET
	LimitOne   bool // LIMIT 1, without ties
	Series     bool // a function that returns sets among the outputs
	Locks      bool // FOR UPDATE and the like
	Set        *SetOp
	Exprs      []*Expr // whatever else may hold sub-queries: HAVING, ORDER BY, …
}

// A Target is an output column.
type Target struct {
	Name      string
	Expr      *Expr
	Type      Type
	Collation *Collation
}

// A Grouping is one expression by which a level groups, makes distinct or partitions.
type Grouping struct {
	Expr *Expr
	By   Equality
}

// An Equality is an operator at its place.
type Equality struct {
	Op          *Operator // nil: unknown, compatible with nothing
	Left, Right Type      // what it is given
	Collation   *Collation
}

// SetOp is a tree of UNION, INTERSECT and EXCEPT over branches.
type SetOp struct {
	Branch      *Rel // of a leaf; the rest is empty
	Left, Right *SetOp
	Compares    bool       // all but UNION ALL
	By          []Equality // per column, where it compares
	Types       []Type     // of the result's columns
}

// JoinKind is the kind of a join.
type JoinKind uint8

// The kinds of joins.
const (
	Inner JoinKind = iota
	Left
	Right
	Full
)

// From is a tree of joins over relations.
type From struct {
	Rel  *Rel // of a leaf; the rest is empty
	Kind JoinKind
	L, R *From
	On   *Expr
}

// A Rel is an entry of FROM, a branch of a set operation or the sub-query of an IN. A table that is
// read twice, also through a CTE or a view, is two Rels.
type Rel struct {
	Name      string // alias
	Where     string // the place for people, such as "e in EXISTS"
	Relation  *Relation
	Sample    bool   // TABLESAMPLE
	Query     *Query // of a derived table, view or CTE
	Recursive bool   // Query is a recursive CTE
	Exprs     []*Expr
}

// Op says what an Expr is.
type Op uint8

// The expressions that rules tell apart; the rest is Other.
const (
	Other    Op = iota
	ColumnOf    // Col of Rel, perhaps implicitly relabelled; Col 0 is a whole row or a system column
	Param       // placeholder Num
	Const
	Equal // Args[0] = Args[1] by By
	And
	Or
	Not
	Coalesce
	Case
	Filter    // an aggregate's FILTER
	IsNull    // IS NULL
	IsNotNull // IS NOT NULL
	In        // Args are equalities between outer expressions and columns of Rel
	Sub       // any other sub-query: Rel.Query
)

// An Expr is an expression.
type Expr struct {
	Op     Op
	Args   []*Expr
	Strict bool // NULL (or false) wherever an argument is NULL
	Rel    *Rel
	Col    int
	Num    int
	Type   Type
	By     Equality
}
