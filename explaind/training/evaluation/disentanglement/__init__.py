"""How far a code keeps known factors apart: published scores, each on arrays alone, and the report's section."""
