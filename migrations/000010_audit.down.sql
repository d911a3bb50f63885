DROP TABLE audit_unchained;
DROP TABLE audit_chain;
DROP TABLE audit_entries;
DROP FUNCTION audit_stays();
DROP FUNCTION audit_entry_awaits_its_place();
