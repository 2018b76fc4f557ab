-- Made after the rows are in, which is several times faster. Each covers the columns its report takes from the table.
CREATE INDEX flights_by_carrier ON flights (carrier, month);
CREATE INDEX flights_by_route ON flights (origin, dest, arr_delay);
CREATE INDEX flights_by_month ON flights (month, origin, dest, arr_delay);
CREATE INDEX flights_by_weather ON flights (origin, month, time_hour, arr_delay);
CREATE UNIQUE INDEX weather_by_hour ON weather (origin, time_hour, visib, precip, wind_speed);
CREATE INDEX delays_reported ON delays (flight_id) WHERE reports > 0;
CREATE INDEX delay_reports_by_flight ON delay_reports (flight_id);
