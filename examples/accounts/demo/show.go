package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

const (
	accountsAtSource = `SELECT a.id, a.first_name, a.last_name, (SELECT string_agg(e.email, ', ' ORDER BY e.id) FROM account_emails e WHERE e.account_id = a.id) AS emails FROM account a ORDER BY 1`
	accountsAtEnd    = `SELECT id, full_name, email FROM account_destination ORDER BY id`
	ordersAtEnd      = `SELECT o.id, u.name, o.amount, o.currency FROM orders o JOIN users u ON u.id = o.user_id ORDER BY 1`
)

// changes are what the demo does at the source, one transaction each.
var changes = []struct{ what, sql string }{
	{"an e-mail that an account did not have", `INSERT INTO account_emails (account_id, email) VALUES (3, 'grace@example.org')`},
	{"an e-mail that moves to another account", `UPDATE account_emails SET account_id = 1 WHERE email = 'alan@example.org'`},
	{"a customer's new name, joined into its orders", `UPDATE customers SET name = 'Bombe Ltd.' WHERE id = 2`},
	{"an account that goes, with its e-mails", `DELETE FROM account WHERE id = 1`},
}

func (d *demo) show(ctx context.Context) error {
	if err := d.settled(ctx); err != nil {
		return err
	}
	d.heading("What was there already has been copied")
	if err := d.tables(ctx); err != nil {
		return err
	}
	d.heading("Changes at the source, and when both destinations had them")
	for _, c := range changes {
		fmt.Fprintf(d.out, "  %s\n    %s\n", c.what, c.sql)
		began := time.Now()
		if err := d.source.exec(ctx, c.sql); err != nil {
			return err
		}
		if err := d.settled(ctx); err != nil {
			return err
		}
		fmt.Fprintf(d.out, "    there after %.1f ms\n", time.Since(began).Seconds()*1000)
	}
	d.heading("The rows afterwards")
	return d.tables(ctx)
}

// settled waits until both destinations hold what the source's queries say.
func (d *demo) settled(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	accounts, err := d.source.rows(ctx, `SELECT id, first_name || ' ' || last_name, (SELECT (array_agg(email))[1] FROM account_emails e WHERE account_id = a.id) FROM account a ORDER BY 1`)
	if err != nil {
		return err
	}
	orders, err := d.source.rows(ctx, `SELECT o.id, c.name, o.amount, o.currency FROM orders o JOIN customers c ON c.id = o.customer_id ORDER BY 1`)
	if err != nil {
		return err
	}
	for _, want := range []struct {
		db   *database
		sql  string
		rows [][]string
	}{{d.reports, accountsAtEnd, accounts}, {d.shop, accountsAtEnd, accounts}, {d.shop, ordersAtEnd, orders}} {
		if err := want.db.wait(ctx, want.sql, want.rows); err != nil {
			return err
		}
	}
	return nil
}

// wait asks until a query gives rows.
func (db *database) wait(ctx context.Context, sql string, rows [][]string) error {
	tick := time.NewTicker(200 * time.Microsecond)
	defer tick.Stop()
	for {
		got, err := db.rows(ctx, sql)
		if err != nil {
			return fmt.Errorf("%s: %w", db.name, err)
		}
		if slices.EqualFunc(got, rows, slices.Equal[[]string]) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s does not hold what the source holds: %w", db.name, ctx.Err())
		case <-tick.C:
		}
	}
}

func (d *demo) tables(ctx context.Context) error {
	for _, t := range []struct {
		db     *database
		title  string
		sql    string
		header table.Row
	}{
		{d.source, "source: account, account_emails", accountsAtSource, table.Row{"id", "first_name", "last_name", "emails"}},
		{d.reports, "reports (Postgres): account_destination", accountsAtEnd, table.Row{"id", "full_name", "email"}},
		{d.shop, "shop (MariaDB): account_destination", accountsAtEnd, table.Row{"id", "full_name", "email"}},
		{d.shop, "shop (MariaDB): orders, users", ordersAtEnd, table.Row{"id", "name", "amount", "currency"}},
	} {
		rows, err := t.db.rows(ctx, t.sql)
		if err != nil {
			return err
		}
		w := table.NewWriter()
		w.AppendHeader(t.header)
		for _, row := range rows {
			line := make(table.Row, len(row))
			for i, v := range row {
				line[i] = v
			}
			w.AppendRow(line)
		}
		w.SetStyle(table.StyleLight)
		w.Style().Format.Header = text.FormatDefault
		fmt.Fprintln(d.out, "  "+t.title)
		fmt.Fprintln(d.out, "  "+strings.ReplaceAll(w.Render(), "\n", "\n  "))
	}
	return nil
}

// measure times single changes, from the writer's sending of its transaction until a reader sees it.
func (d *demo) measure(ctx context.Context) error {
	const changes = 200
	d.heading(fmt.Sprintf("Latency of %d single changes, from sending the transaction until a reader sees it", changes))
	for _, db := range []*database{d.reports, d.shop} {
		took := make([]time.Duration, 0, changes)
		for i := range changes {
			name := fmt.Sprintf("%s %d", db.name, i)
			began := time.Now()
			if err := d.source.exec(ctx, `UPDATE account SET first_name = '`+name+`' WHERE id = 2`); err != nil {
				return err
			}
			if err := db.wait(ctx, `SELECT full_name FROM account_destination WHERE id = 2`, [][]string{{name + " Turing"}}); err != nil {
				return err
			}
			took = append(took, time.Since(began))
		}
		slices.Sort(took)
		ms := func(share int) float64 { return took[(len(took)-1)*share/100].Seconds() * 1000 }
		fmt.Fprintf(d.out, "  %-8s p50 %5.1f ms   p95 %5.1f ms   p99 %5.1f ms\n", db.name, ms(50), ms(95), ms(99))
	}
	return nil
}
