package doctor

import (
	"context"
	"strings"

	"github.com/authgraph/authgraph/internal/dburl"
)

// status reads counters of the server by name.
func (d *database) status(ctx context.Context, names ...string) (map[string]int64, error) {
	values := make(map[string]int64)
	var name string
	var value int64
	err := each(ctx, d.db, "SHOW GLOBAL STATUS WHERE Variable_name IN ('"+strings.Join(names, "', '")+"')",
		[]any{&name, &value}, func() { values[name] = value })
	return values, err
}

func checkConnections(ctx context.Context, d *database) ([]Finding, error) {
	var limit, ofUser int64
	if err := d.db.QueryRowContext(ctx, "SELECT @@GLOBAL.max_connections, "+
		"@@SESSION.max_user_connections").Scan(&limit, &ofUser); err != nil {
		return nil, err
	}
	status, err := d.status(ctx, "Max_used_connections")
	if err != nil {
		return nil, err
	}
	used := status["Max_used_connections"]
	const fix = "raise the limit, or lower Pool.MaxOpen of the services"
	var off []Finding
	if ofUser > 0 && int64(d.Connections) > ofUser {
		off = append(off,
			found(Error, fix, "the services open up to %d connections, the account may have %d (max_user_connections)",
				d.Connections, ofUser))
	}
	if int64(d.Connections) > limit {
		off = append(off,
			found(Error, fix, "the services open up to %d connections, the server allows %d (max_connections)",
				d.Connections, limit))
	}
	if used*10 >= limit*9 {
		off = append(off, found(Warning, fix, "%d of %d connections have been in use at once", used, limit))
	}
	if len(off) > 0 {
		return off, nil
	}
	return ok("%d of %d allowed have been in use at once, the services open up to %d", used, limit, d.Connections), nil
}

func checkPrepared(ctx context.Context, d *database) ([]Finding, error) {
	var limit int64
	if err := d.db.QueryRowContext(ctx, "SELECT @@GLOBAL.max_prepared_stmt_count").Scan(&limit); err != nil {
		return nil, err
	}
	status, err := d.status(ctx, "Prepared_stmt_count")
	if err != nil {
		return nil, err
	}
	held := status["Prepared_stmt_count"]
	if limit == 0 {
		return []Finding{
			found(Warning, "set max_prepared_stmt_count to its default, 16382",
				"no client may prepare a statement (max_prepared_stmt_count is 0)"),
		}, nil
	}
	var off []Finding
	if held*5 >= limit*4 {
		off = append(off,
			found(Warning, "raise max_prepared_stmt_count, or look for clients that do not close theirs: "+
				"performance_schema.prepared_statements_instances",
				"%d of %d prepared statements are held", held, limit))
	}
	// Open keeps as many on each connection unless told otherwise.
	if kept := int64(d.Connections) * dburl.DefaultStatements; kept > limit {
		off = append(off, found(Warning, "set authgraph.WithStatements or raise max_prepared_stmt_count",
			"the services can keep %d prepared statements, %d on each of %d connections; the server holds %d "+
				"(max_prepared_stmt_count)", kept, dburl.DefaultStatements, d.Connections, limit))
	}
	if len(off) > 0 {
		return off, nil
	}
	return ok("%d of %d are held", held, limit), nil
}
