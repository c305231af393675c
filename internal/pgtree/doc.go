// Package pgtree reads the text form of Postgres' node trees (type pg_node_tree), such as a view's
// resolved query in pg_rewrite.ev_action.
//
// The form changes from version to version: fields come, go and move. So nothing is read by place:
// a node is a name and fields by name, and after a field's name stands exactly one value, which may
// itself begin with a colon (an alias can). Parse gives a generic tree; what a field means is its
// reader's affair.
package pgtree
