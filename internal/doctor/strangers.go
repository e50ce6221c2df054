package doctor

import (
	"context"
	"slices"

	"github.com/authgraph/authgraph/ent/user"
	"github.com/authgraph/authgraph/internal/dbserver"
	"github.com/authgraph/authgraph/internal/registry"
)

// strangers finds what has a name of the auth graph and is none of its tables: apply
// and adopt would refuse it. Later checks do not look at it.
func (d *database) strangers(ctx context.Context) (off []Finding, err error) {
	names := registry.Tables()
	if d.Users != nil { // their table is the project's, and the name users may be another one's
		names = slices.DeleteFunc(names, func(name string) bool { return name == user.Table })
	}
	objects, err := dbserver.Objects(ctx, d.db, d.url.Dialect, names)
	if err != nil {
		return nil, err
	}
	for _, o := range objects {
		fix := "use another database for one of the two, or rename it"
		switch {
		case o.IsOurs() && o.Kind == dbserver.KindTable,
			o.Kind == dbserver.KindTable && len(o.Columns) == 0: // the account may not see them
			continue
		case o.IsOurs():
			fix = "run ALTER TABLE " + dbserver.Quote(o.Name) + " DROP SYSTEM VERSIONING (this deletes its row history)"
		}
		off = append(off, found(Error, fix, "the name is taken: %s", o))
		d.tables = slices.DeleteFunc(d.tables, func(name string) bool { return name == o.Name })
	}
	return off, nil
}
