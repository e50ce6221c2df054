package dburl

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/authgraph/authgraph/internal/failover"
)

// causal has the connections to one of several writers, or to a server that is read from in the place of the writer,
// see before each statement what was acknowledged elsewhere: a revocation, or the session to revoke, may still be on
// its way (MariaDB documentation, wsrep_sync_wait; MySQL manual, Transaction Consistency Guarantees). An address that
// sets the variable itself decides.
type causal struct {
	driver.Connector
	given   map[string]string // the session variables of the address
	reading Reading

	mu    sync.Mutex
	set   string // the statement that sets it; empty where nothing is to be set
	asked time.Time
}

// askAgain is how long the answer of a server holds, which may become one of several.
const askAgain = 5 * time.Minute

const writersQuery = "SHOW GLOBAL VARIABLES WHERE Variable_name IN " +
	"('version', 'wsrep_on', 'group_replication_group_name', 'group_replication_single_primary_mode', " +
	"'group_replication_consistency')"

// noLimitOnVitess takes back the limit of [session]. Vitess adds it to each query, and then refuses GET_LOCK.
const noLimitOnVitess = "SET SESSION sql_select_limit = 0"

func (c *causal) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	if err := c.prepare(ctx, conn); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

func (c *causal) prepare(ctx context.Context, conn driver.Conn) error {
	if c.reading == ReadStale {
		return nil
	}
	c.mu.Lock()
	set, asked := c.set, c.asked
	c.mu.Unlock()
	if !asked.IsZero() && time.Since(asked) < askAgain {
		if err := exec(ctx, conn, set); err == nil || ctx.Err() != nil {
			return err
		} // a name may have moved to a server that does not know the variable
	}
	set, err := c.statement(ctx, conn)
	if err != nil {
		return err
	}
	return exec(ctx, conn, set)
}

// statement asks what is to be set.
func (c *causal) statement(ctx context.Context, conn driver.Conn) (set string, err error) {
	values, err := pairs(ctx, conn, writersQuery)
	if err != nil {
		return "", fmt.Errorf("ask whether other servers take writes: %w", err)
	}
	variable, value := "", ""
	switch {
	case values["wsrep_on"] == "ON":
		// Before SELECT (1), UPDATE and DELETE (2), INSERT and REPLACE (4).
		variable, value = "wsrep_sync_wait", "7"
	case values["group_replication_group_name"] == "":
		if c.reading == ReadCausal {
			return "", &failover.StrangerError{}
		}
	case c.reading == ReadCausal, values["group_replication_single_primary_mode"] == "OFF":
		variable, value = "group_replication_consistency", "'BEFORE'"
	case values["group_replication_consistency"] == "EVENTUAL":
		// The default until MySQL 8.4: the next primary may answer before it has what the one before acknowledged.
		variable, value = "group_replication_consistency", "'BEFORE_ON_PRIMARY_FAILOVER'"
	}
	if _, given := c.given[variable]; variable != "" && !given {
		set = "SET SESSION " + variable + " = " + value
	}
	if strings.HasSuffix(values["version"], "-Vitess") {
		set = noLimitOnVitess
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.set, c.asked = set, time.Now()
	return set, nil
}

func exec(ctx context.Context, conn driver.Conn, statement string) error {
	if statement == "" {
		return nil
	}
	execer, ok := conn.(driver.ExecerContext)
	if !ok {
		return fmt.Errorf("a connection of type %T cannot execute", conn)
	}
	if _, err := execer.ExecContext(ctx, statement, nil); err != nil {
		return fmt.Errorf("%s: %w", statement, err)
	}
	return nil
}

// pairs are the rows of a query for two texts.
func pairs(ctx context.Context, conn driver.Conn, query string) (_ map[string]string, err error) {
	queryer, ok := conn.(driver.QueryerContext)
	if !ok {
		return nil, fmt.Errorf("a connection of type %T cannot query", conn)
	}
	rows, err := queryer.QueryContext(ctx, query, nil)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	values := map[string]string{}
	row := make([]driver.Value, 2)
	for {
		switch err := rows.Next(row); {
		case errors.Is(err, io.EOF):
			return values, nil
		case err != nil:
			return nil, err
		}
		values[strings.ToLower(text(row[0]))] = text(row[1])
	}
}

func text(v driver.Value) string {
	if b, ok := v.([]byte); ok {
		return string(b)
	}
	return fmt.Sprint(v)
}
