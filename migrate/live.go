package migrate

import (
	"context"
	"errors"

	"ariga.io/atlas/sql/schema"
)

// database is the state of the database at url as it is, of all its tables or
// of the named ones. It needs no [Dev].
func database(url string, tables ...string) State {
	return func(ctx context.Context, _ *Dev) (_ *schema.Schema, err error) {
		u, err := parse(url)
		if err != nil {
			return nil, err
		}
		db, err := u.Connect(ctx)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, db.Close()) }()
		drv, err := openDriver(u.Dialect, db)
		if err != nil {
			return nil, err
		}
		return drv.InspectSchema(ctx, "", &schema.InspectOptions{Tables: tables})
	}
}
