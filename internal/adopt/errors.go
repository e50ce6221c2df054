package adopt

import (
	"fmt"
	"strings"

	"github.com/authgraph/authgraph/internal/dbserver"
)

// Reason is why a database cannot be adopted.
type Reason string

// The reasons.
const (
	// OnSQLite: the database is a SQLite file.
	OnSQLite Reason = "on SQLite"
	// Nothing: there are no tables to adopt.
	Nothing Reason = "nothing to adopt"
	// Taken: something else has the name of a table of this schema.
	Taken Reason = "name taken"
	// Versioned: a table is system-versioned, as MariaDB can.
	Versioned Reason = "system-versioned"
	// HasHistory: migrations were applied to the database.
	HasHistory Reason = "has a history"
)

// Error is a database that cannot be adopted, whatever its rows are. Nothing was changed.
type Error struct {
	Reason Reason
	// Object is what is in the way: the table that is missing, or what has a name.
	Object dbserver.Object
	// Version is the newest one of the history.
	Version string
}

// Found says what the database is.
func (e *Error) Found() string {
	switch e.Reason {
	case OnSQLite:
		return "adopt is for MySQL and MariaDB, on which the tables of the ServerCN schema are made"
	case Nothing:
		return fmt.Sprintf("the database has no table %s, so there is nothing to adopt", e.Object.Name)
	case Versioned:
		return fmt.Sprintf("table %s is system-versioned, which this schema is not", e.Object.Name)
	case HasHistory:
		return "the database has a history of migrations, up to version " + e.Version
	}
	text := e.Object.String() + ", not the table of the ServerCN schema"
	if e.Object.Kind == dbserver.KindTable {
		missing := e.Object.Lacks()
		text += ", which has " + strings.Join(missing[:min(3, len(missing))], ", ")
	}
	return text
}

// Fix says what to do.
func (e *Error) Fix() string {
	switch e.Reason {
	case Versioned:
		return fmt.Sprintf("run ALTER TABLE %s DROP SYSTEM VERSIONING (this deletes its row history)",
			dbserver.Quote(e.Object.Name))
	case HasHistory:
		return "there is nothing to adopt, go on with its migrations (migrate.Apply)"
	case Taken:
		return "rename it, or use another database (migrate.Apply)"
	default:
		return "make the tables (migrate.Apply)"
	}
}

func (e *Error) Error() string { return e.Found() + ": " + e.Fix() }

// ObstacleError is a database that was left as it was, because of what the [Adoption] names.
type ObstacleError struct{ Obstacles int }

// Found counts the obstacles.
func (e *ObstacleError) Found() string {
	if e.Obstacles == 1 {
		return "1 obstacle stands in the way, nothing was changed"
	}
	return fmt.Sprintf("%d obstacles stand in the way, nothing was changed", e.Obstacles)
}

// Fix says what to do.
func (e *ObstacleError) Fix() string {
	if e.Obstacles == 1 {
		return "put it right first"
	}
	return "put them right first"
}

func (e *ObstacleError) Error() string { return e.Found() + ": " + e.Fix() }

// LeftError is a database that is not this schema after every statement was executed; they stay done. Somebody else
// wrote to it meanwhile, or the server words a definition otherwise than it was told. One of the lists is not empty.
type LeftError struct {
	// Obstacles are what stands in the way now.
	Obstacles []Obstacle
	// Statements would be executed next.
	Statements []Statement
}

// Found names the first obstacle, or else the first statement, in one line.
func (e *LeftError) Found() string {
	for _, o := range e.Obstacles {
		return fmt.Sprintf("somebody wrote to table %s meanwhile: %s", o.Table, o.Text)
	}
	return "the database still differs, because somebody else changes it or the server words something else than it " +
		"was told: " + strings.Join(strings.Fields(e.Statements[0].SQL), " ")
}

// Fix says what to do.
func (e *LeftError) Fix() string {
	for _, o := range e.Obstacles {
		return o.Fix + ", and adopt again"
	}
	return "adopt again while nobody else changes the tables"
}

func (e *LeftError) Error() string { return e.Found() + ": " + e.Fix() }

// StmtError is a statement of an adoption that the database refused, or whose outcome is not known. Those before it
// stay done.
type StmtError struct {
	// Index is the statement's number, from 1, of Total.
	Index, Total int
	Stmt         string
	// Err is the database's answer. Its text holds no value of a row; the driver's error, to which errors.As leads,
	// may.
	Err error
}

// Found says which statement failed, and what the server answered.
func (e *StmtError) Found() string {
	first, _, _ := strings.Cut(e.Stmt, "\n")
	return fmt.Sprintf("statement %d of %d (%s …) failed, those before it stay done: %v",
		e.Index, e.Total, first, e.Err)
}

// Fix says what to do.
func (e *StmtError) Fix() string { return "put that right and adopt again, which goes on" }

func (e *StmtError) Error() string { return e.Found() + ": " + e.Fix() }
func (e *StmtError) Unwrap() error { return e.Err }
