"""Reports: pages, tables, pictures, and what one sees while a run trains."""
