package schema

import (
	"context"
	"time"

	"entgo.io/ent"

	"github.com/authgraph/authgraph/ent/schema/schematype"
)

// The hooks make what the client writes uniform, whoever writes it. Package auth does not need them: it normalises,
// cuts and validates by itself, so that the entities also work without this file.

// Hooks of the User.
func (User) Hooks() []ent.Hook {
	return []ent.Hook{normalizeEmail()}
}

// Hooks of the OTP.
func (OTP) Hooks() []ent.Hook {
	return []ent.Hook{normalizeEmail()}
}

// Hooks of the Session.
func (Session) Hooks() []ent.Hook {
	return []ent.Hook{rewrite("user_agent", schematype.CutUserAgent)}
}

// Hooks of the entities with timestamps.
func (timestamps) Hooks() []ent.Hook {
	return []ent.Hook{cutTimes}
}

// cutTimes cuts every time to what the columns keep, so that an entity just
// created equals the same entity read back, on each database.
func cutTimes(next ent.Mutator) ent.Mutator {
	return ent.MutateFunc(func(ctx context.Context, m ent.Mutation) (ent.Value, error) {
		for _, name := range m.Fields() {
			v, _ := m.Field(name)
			if at, ok := v.(time.Time); ok {
				if err := m.SetField(name, cut(at)); err != nil {
					return nil, err
				}
			}
		}
		return next.Mutate(ctx, m)
	})
}

// normalizeEmail stores every address normalised, whoever writes it through
// the client: one or many, on create and on update.
func normalizeEmail() ent.Hook {
	return rewrite("email", schematype.NormalizeEmail)
}

// rewrite is a hook that passes a string field through fn before it is validated and stored.
func rewrite(name string, fn func(string) string) ent.Hook {
	return func(next ent.Mutator) ent.Mutator {
		return ent.MutateFunc(func(ctx context.Context, m ent.Mutation) (ent.Value, error) {
			if v, ok := m.Field(name); ok {
				if err := m.SetField(name, fn(v.(string))); err != nil {
					return nil, err
				}
			}
			return next.Mutate(ctx, m)
		})
	}
}
