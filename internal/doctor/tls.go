package doctor

import (
	"context"
	"fmt"

	"github.com/authgraph/authgraph/internal/dburl"
)

// exposed is what a connection to the address lets happen on its way to another
// machine; empty where nothing. Nothing is connected for it.
func exposed(u *dburl.URL) string {
	if u.Local() {
		return ""
	}
	switch u.Transport() {
	case dburl.TransportPlain:
		return "the connection leaves this machine and is not encrypted"
	case dburl.TransportOptional:
		return "the connection leaves this machine and is encrypted only if whoever answers offers it, with a " +
			"certificate that nobody verifies"
	case dburl.TransportUnverified:
		return "the connection leaves this machine, encrypted to whoever answers: the server's certificate is not " +
			"verified, " +
			"and caching_sha2_password sends the password as it is"
	}
	return ""
}

const verifyServer = "add tls=true to the URL, with tls-ca=FILE in its place where the certificate is of an " +
	"authority of your own " +
	"(both verify the certificate and the host's name); then ALTER USER … REQUIRE SSL"

// keepPassword refuses an address that hands the password to whoever answers, before anything is connected.
func keepPassword(u *dburl.URL) error {
	if text := exposed(u); text != "" && u.SendsPassword() {
		return fmt.Errorf(
			"%s: not connected: allowCleartextPasswords or allowOldPasswords gives the password away, and %s: %s", u,
			text, verifyServer)
	}
	return nil
}

func checkTLS(ctx context.Context, d *database) ([]Finding, error) {
	if text := exposed(d.url); text != "" {
		return []Finding{found(Warning, verifyServer, "%s", text)}, nil
	}
	var name, cipher string
	if err := d.db.QueryRowContext(ctx, "SHOW SESSION STATUS LIKE 'Ssl_cipher'").Scan(&name, &cipher); err != nil {
		return nil, err
	}
	switch {
	case cipher == "" && !d.url.Local():
		return []Finding{
			found(Warning, "have the proxy between connect to the server with TLS",
				"the connection is encrypted, but not up to the server"),
		}, nil
	case cipher == "":
		return ok("not encrypted, and does not leave this machine"), nil
	case d.url.Transport() == dburl.TransportVerified:
		return ok("encrypted with %s, to a server whose certificate and name are verified", cipher), nil
	default:
		return ok("encrypted with %s", cipher), nil
	}
}
