package doctor

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/authgraph/authgraph/internal/dbserver"
)

func checkEngine(ctx context.Context, d *database) (off []Finding, err error) {
	var table, engine string
	err = each(
		ctx,
		d.db,
		"SELECT TABLE_NAME, ENGINE FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND "+
			d.inTables("TABLE_NAME")+" AND ENGINE <> 'InnoDB' ORDER BY TABLE_NAME",
		[]any{&table, &engine},
		func() {
			off = append(off, found(Error, fmt.Sprintf("ALTER TABLE %s ENGINE = InnoDB", dbserver.Quote(table)),
				"table %q is kept by %s: no transactions and no foreign keys", table, engine))
		},
	)
	if err != nil || len(off) > 0 {
		return off, err
	}
	return ok("InnoDB"), nil
}

func checkDefaultEngine(ctx context.Context, d *database) (off []Finding, err error) {
	set, err := d.variables(ctx, "default_storage_engine", "enforce_storage_engine", "disabled_storage_engines")
	if err != nil {
		return nil, err
	}
	if name := set["default_storage_engine"]; !strings.EqualFold(name, "InnoDB") {
		off = append(off, found(Warning, d.set("default_storage_engine", "InnoDB"),
			"the default engine is %s: a table that others make without ENGINE has no transactions and no foreign keys",
			name))
	}
	if name := set["enforce_storage_engine"]; name != "" && !strings.EqualFold(name, "InnoDB") {
		off = append(off, found(Error, d.set("enforce_storage_engine", "NULL"),
			"enforce_storage_engine is %s: every new table is one of that engine, whatever it says", name))
	}
	if slices.ContainsFunc(strings.Split(set["disabled_storage_engines"], ","),
		func(name string) bool { return strings.EqualFold(strings.TrimSpace(name), "InnoDB") }) {
		off = append(off, found(Error, "start the server without InnoDB in disabled_storage_engines",
			"disabled_storage_engines holds InnoDB: no migration can make a table"))
	}
	if len(off) == 0 {
		return ok("InnoDB"), nil
	}
	return off, nil
}
