package call

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"tpa.dev/tpa/test/kit"
)

// greeting is in the table that the image comes with.
const greeting = "hello from a database that slept"

// Postgres has a PostgreSQL server return each nonce beside a row of its table, and say who talks with whom.
func Postgres(ctx context.Context, conn net.Conn, s Script) (Who, error) {
	config, err := pgx.ParseConfig("postgres://postgres@" + conn.RemoteAddr().String() + "/postgres?sslmode=disable")
	if err != nil {
		return Who{}, err
	}
	config.DialFunc = func(context.Context, string, string) (net.Conn, error) { return onlyDeadline{conn}, nil }
	var session *pgx.Conn
	who, err := s.each(ctx, conn, func(nonce string) (Who, error) {
		var who Who
		var back, text string
		if session == nil {
			if session, err = pgx.ConnectConfig(context.WithoutCancel(ctx), config); err != nil {
				return Who{}, answered(err)
			}
		}
		err := session.QueryRow(context.WithoutCancel(ctx),
			"SELECT $1::text, text, host(inet_server_addr()), host(inet_client_addr()) FROM greeting", nonce).
			Scan(&back, &text, &who.Server, &who.Peer)
		if err != nil {
			return Who{}, answered(err)
		}
		if back != nonce || text != greeting {
			return Who{}, kit.Wrongf("SELECT %s: %q and %q", nonce, back, text)
		}
		return who, nil
	})
	if session != nil && err == nil {
		err = session.Close(context.WithoutCancel(ctx))
	}
	return who, err
}

// answered makes a wrong answer of an error that the server has sent, and an end of one with which it ends the connection.
func answered(err error) error {
	server, ok := errors.AsType[*pgconn.PgError](err)
	switch {
	case !ok:
		return err
	case server.SeverityUnlocalized == "FATAL":
		return fmt.Errorf("%w: %w", io.ErrUnexpectedEOF, server)
	}
	return kit.Wrongf("server: %v", server)
}

// onlyDeadline keeps pgx, which sets deadlines of its own, from lifting the Script's.
type onlyDeadline struct{ net.Conn }

func (onlyDeadline) SetDeadline(time.Time) error { return nil }
