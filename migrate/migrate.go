// Package migrate brings a database up to the versioned migrations of the auth graph.
//
// A service that owns its database calls it when it starts:
//
//	report, err := migrate.Apply(ctx, os.Getenv("DATABASE_URL"), migrate.ApplyOptions{})
//
// The migrations for MySQL and MariaDB are the .sql files of this folder, those for SQLite are in sqlite/. Both are
// compiled into the package. The directory has Atlas's format and the history is Atlas's table atlas_schema_revisions,
// so the Atlas CLI can go on with both at any time.
//
// The package neither plans migrations nor reverts them. The command authgraph migrate plans them, and a further
// migration undoes a change.
package migrate

import (
	"embed"
	"fmt"
	"io/fs"
	"path"

	atlas "ariga.io/atlas/sql/migrate"
	entdialect "entgo.io/ent/dialect"
)

//go:embed *.sql atlas.sum sqlite/*.sql sqlite/atlas.sum
var embedded embed.FS

// Embedded is the directory compiled into this package for a dialect: dialect.MySQL (for MariaDB too) or dialect.SQLite
// of package entgo.io/ent/dialect. Another dialect is an error. Each call returns a copy of its own.
func Embedded(dialect string) (fs.FS, error) {
	root := "."
	switch dialect {
	case entdialect.MySQL:
	case entdialect.SQLite:
		root = "sqlite"
	default:
		return nil, fmt.Errorf("no migrations for dialect %q", dialect)
	}
	dir := &atlas.MemDir{}
	dir.SetPath("embedded:" + dialect)
	entries, err := embedded.ReadDir(root)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if e.IsDir() {
			continue
		}
		b, err := embedded.ReadFile(path.Join(root, e.Name()))
		if err != nil {
			return nil, err
		}
		if err := dir.WriteFile(e.Name(), b); err != nil {
			return nil, err
		}
	}
	return dir, nil
}
