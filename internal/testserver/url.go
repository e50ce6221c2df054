package testserver

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
)

// Config translates a mysql:// or mariadb:// URL for the driver. Times are UTC in both directions, a
// statement is stored when it has ended, and what is in double quotes is a text, whatever the server's defaults are.
func Config(rawURL string) (*mysql.Config, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, err
	}
	if u.Scheme != "mysql" && u.Scheme != "mariadb" {
		return nil, fmt.Errorf("%s does not begin with mysql:// or mariadb://", u.Redacted())
	}
	config := mysql.NewConfig()
	config.User = u.User.Username()
	config.Passwd, _ = u.User.Password()
	config.Net = "tcp"
	config.Addr = u.Host
	if u.Port() == "" {
		config.Addr += ":3306"
	}
	config.DBName = strings.TrimPrefix(u.Path, "/")
	config.TLSConfig = u.Query().Get("tls")
	config.ParseTime = true
	config.Loc = time.UTC
	config.Params = map[string]string{
		"time_zone": "'+00:00'", "autocommit": "1", "sql_mode": "REPLACE(@@sql_mode, 'ANSI_QUOTES', '')",
	}
	return config, nil
}

// address is a URL without what it may hold besides the address.
func address(rawURL string) string {
	config, err := Config(rawURL)
	if err != nil {
		return "?"
	}
	return config.Addr
}

// waitReady returns the server's version once it answers a query, or fails when ctx or the server ends first.
func waitReady(ctx context.Context, product *Product, rawURL string, ended <-chan struct{}) (string, error) {
	config, err := Config(rawURL)
	if err != nil {
		return "", err
	}
	// The driver prints each refused connection otherwise.
	config.Logger = &mysql.NopLogger{}
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return "", err
	}
	db := sql.OpenDB(connector)
	defer db.Close()

	retry := time.NewTicker(20 * time.Millisecond)
	defer retry.Stop()
	for {
		var version string
		err := db.QueryRowContext(ctx, "SELECT VERSION()").Scan(&version)
		if err == nil {
			return version, product.checkVersion(version)
		}
		select {
		case <-ended:
			return "", fmt.Errorf("the server ended before it was ready")
		case <-ctx.Done():
			return "", fmt.Errorf("%s does not answer: %w", config.Addr, err)
		case <-retry.C:
		}
	}
}
