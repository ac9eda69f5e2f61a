"""The Flask app of parts p2 and p3: what its image serves and how. Pulumi's program does not import it."""
