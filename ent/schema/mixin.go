package schema

import (
	"time"

	"entgo.io/ent"
	"entgo.io/ent/dialect"
	"entgo.io/ent/dialect/entsql"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/mixin"
)

// timestamps adds created_at and updated_at. The database fills both for writers that do not know this schema; on
// SQLite, which has no ON UPDATE, such writers have to set updated_at themselves.
type timestamps struct {
	mixin.Schema
}

func (timestamps) Fields() []ent.Field {
	return strict([]ent.Field{
		field.Time("created_at").
			SchemaType(timestampType).
			Default(now).
			Immutable().
			Annotations(defaultNow),
		field.Time("updated_at").
			SchemaType(timestampType).
			Default(now).
			UpdateDefault(now).
			Annotations(entsql.Default("CURRENT_TIMESTAMP/*!(6) ON UPDATE CURRENT_TIMESTAMP(6)*/")),
	})
}

// timestampType is the type of every time column: microseconds, stored in UTC
// by the server (MySQL manual, 13.2.2). TIMESTAMP ends at 2038-01-19 03:14:07.
var timestampType = map[string]string{dialect.MySQL: "timestamp(6)"}

// datetimeType is for a time that may lie beyond 2038. The server does not convert it: the client writes UTC.
var datetimeType = map[string]string{dialect.MySQL: "datetime(6)"}

// defaultNow is the time at which the row is written. MySQL and MariaDB read what /*! */ encloses (MySQL manual, 11.7),
// SQLite skips it: one default is right on all of them.
var defaultNow = entsql.Default("CURRENT_TIMESTAMP/*!(6)*/")

func cut(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

func now() time.Time { return cut(time.Now()) }
